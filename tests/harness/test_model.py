"""Our model and the harness's own Hugging Face model, on the same weights: the same scores and the same texts."""

import importlib
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jmed_jax.errors import InputError
from jmed_jax.language_model import LanguageModel
from jmed_jax.tokenizer.tokenizer import Tokenizer
from tests import tiny
from tests.tokenizer.test_pretrained import write_tokenizer

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    from jmed_jax.harness.model import JmedModel

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
lm_eval = pytest.importorskip("lm_eval", reason="lm_eval is not installed: pip install 'lm_eval>=0.4.9'")

LENGTH = 48
TEXTS = ["発熱があり、咳が出る。" * 12, "Fever and cough, and no rash.", "熱"]
TASKS = {
    "choice": {
        "output_type": "multiple_choice",
        "doc_to_text": "問題: {{text}}\n答え:",
        "doc_to_choice": ["はい", "いいえ", " no answer"],
        "doc_to_target": "{{label}}",
        "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
    },
    "rolling": {
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "{{text}}",
        "metric_list": [{"metric": "word_perplexity"}, {"metric": "byte_perplexity"}],
    },
    "answer": {
        "output_type": "generate_until",
        "doc_to_text": "{{text}}",
        "doc_to_target": "熱",
        "generation_kwargs": {"until": ["\n", "a"], "do_sample": False, "max_gen_toks": 8},
        "metric_list": [{"metric": "exact_match"}],
    },
}


def save_qwen2(out: Path, _tokenizer: Tokenizer) -> None:
    """A random Qwen2 model beside a byte-level BPE tokenizer with its chat template."""
    write_tokenizer(out)
    vocab_size = len(transformers.AutoTokenizer.from_pretrained(out))
    torch.manual_seed(0)
    config = transformers.Qwen2Config(
        vocab_size=vocab_size,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=LENGTH,
        initializer_range=0.5,
    )
    transformers.Qwen2ForCausalLM(config).save_pretrained(out)


def save_ours(out: Path, tokenizer: Tokenizer) -> None:
    """A random model of our own family as a Hugging Face directory."""
    config = replace(tiny.MODEL, vocab_size=tokenizer.vocab_size, context_length=LENGTH)
    model = LanguageModel.random(config)
    LanguageModel(config, model.parameters, tokenizer, "random").save_hf(out)


def load_ours(directory: Path, **options: Any) -> "JmedModel":
    return importlib.import_module("jmed_jax.harness.model").JmedModel(str(directory), **options)


@pytest.fixture(scope="module", params=[save_qwen2, save_ours], ids=["qwen2", "ncvc_slm"])
def directory(request: pytest.FixtureRequest, tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("harness") / "model"
    request.param(out, tokenizer)
    return out


@pytest.fixture(scope="module")
def ours(directory: Path) -> "JmedModel":
    return load_ours(directory)


@pytest.fixture(scope="module")
def theirs(directory: Path) -> "HFLM":
    hugging_face = importlib.import_module("lm_eval.models.huggingface")
    # Our family's tokenizer is a small module in its directory, which we wrote.
    return hugging_face.HFLM(
        pretrained=str(directory), device="cpu", dtype="float32", batch_size=2, trust_remote_code=True
    )


def write_tasks(folder: Path) -> None:
    """Three tasks over a file on this disk."""
    rows = [{"text": text, "label": number % 3} for number, text in enumerate(TEXTS)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for name, task in TASKS.items():
        data = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(folder / "rows.jsonl")}}}
        complete = {"task": f"jmed_{name}", "test_split": "test", **data, **task}
        # JSON is YAML.
        (folder / f"{name}.yaml").write_text(json.dumps(complete, ensure_ascii=False), encoding="utf-8")


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tasks")
    write_tasks(folder)
    return folder


def requests(kind: str, *arguments: Any) -> "list[Instance]":
    instance = importlib.import_module("lm_eval.api.instance")
    return [instance.Instance(kind, {}, given, index) for index, given in enumerate(arguments)]


def test_a_task_has_the_same_scores(
    ours: "JmedModel", theirs: "HFLM", tasks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    manager = importlib.import_module("lm_eval.tasks").TaskManager(include_path=str(tasks), include_defaults=False)
    names = [f"jmed_{name}" for name in TASKS]
    results = [
        lm_eval.simple_evaluate(model, tasks=names, task_manager=manager, bootstrap_iters=0, log_samples=True)
        for model in (ours, theirs)
    ]
    mine, others = (result["results"] for result in results)
    for name in names:
        for metric, value in others[name].items():
            if isinstance(value, float):
                assert mine[name][metric] == pytest.approx(value, rel=1e-4), (name, metric)
    mine, others = (result["samples"]["jmed_answer"] for result in results)
    assert [row["resps"] for row in mine] == [row["resps"] for row in others]


def test_likelihoods_are_the_same_where_a_context_is_empty_ends_with_spaces_or_is_too_long(
    ours: "JmedModel", theirs: "HFLM"
) -> None:
    pairs = requests("loglikelihood", ("", "発熱"), ("熱は  ", "ある"), ("咳が出る。" * 40, "はい"), ("a", " b c"))
    for mine, other in zip(ours.loglikelihood(pairs), theirs.loglikelihood(pairs), strict=True):
        assert mine[0] == pytest.approx(other[0], rel=1e-4)
        assert mine[1] == other[1]


def test_what_greedy_decoding_writes_is_called_greedy(ours: "JmedModel") -> None:
    (text,) = ours.generate_until(requests("generate_until", ("発熱", {"until": [], "max_gen_toks": 3})))
    ids = ours.model.generate_ids([ours.tok_encode("発熱")], max_new_tokens=3)[0]
    assert text == ours.model.tokenizer.decode(ids)
    ((_, greedy),) = ours._loglikelihood_tokens([(None, ours.tok_encode("発熱"), ids)])
    assert greedy


def test_texts_are_windows_that_each_predict_what_the_others_do_not(ours: "JmedModel") -> None:
    (whole,) = ours.loglikelihood_rolling(requests("loglikelihood_rolling", (TEXTS[0],)))
    windows = ours._windows(TEXTS[0])
    assert len(windows) > 1
    assert [index for _, predicted in windows for index in predicted] == ours.tok_encode(TEXTS[0])
    assert math.isfinite(whole) and whole < 0
    assert ours.loglikelihood_rolling(requests("loglikelihood_rolling", ("",))) == [0]


@pytest.mark.parametrize("prompted", [True, False], ids=["prompted", "begun"])
def test_a_conversation_has_the_same_ids(prompted: bool, ours: "JmedModel", theirs: "HFLM") -> None:
    history = [{"role": "user", "content": "熱は？"}, {"role": "assistant", "content": "ある"}]
    history += [{"role": "user", "content": "咳は？"}] if prompted else []
    mine = ours.apply_chat_template(history, add_generation_prompt=prompted)
    assert mine == theirs.apply_chat_template(history, add_generation_prompt=prompted)
    assert ours.tok_encode(mine) == theirs.tok_encode(mine)
    special = ours.model.tokenizer.encode_chat(history, add_generation_prompt=True)
    assert not prompted or ours.tok_encode(mine) == special


def test_special_tokens_in_a_message_stay_text(directory: Path) -> None:
    model = load_ours(directory)
    end = model.model.tokenizer.decode([model.eot_token_id], skip_special=False)
    assert model.eot_token_id not in model.tok_encode(f"熱{end}")
    prompt = model.apply_chat_template([{"role": "user", "content": f"熱{end}咳"}])
    plain = model.apply_chat_template([{"role": "user", "content": "熱咳"}])
    assert model.tok_encode(prompt).count(model.eot_token_id) == model.tok_encode(plain).count(model.eot_token_id)


def test_the_begin_token_stands_before_contexts_where_it_is_asked_for(directory: Path) -> None:
    model = load_ours(directory, add_bos_token=True)
    bos = model.model.tokenizer.bos_id
    assert (model.tok_encode("熱")[0] == bos) == (bos is not None)
    assert model.prefix_token_id == (model.eot_token_id if bos is None else bos)


def test_what_the_engine_cannot_do_is_refused(ours: "JmedModel") -> None:
    with pytest.raises(InputError, match="typical_p: not understood"):
        ours.generate_until(requests("generate_until", ("熱", {"until": [], "typical_p": 0.5})))
    with pytest.raises(InputError, match=f"leave no room in {LENGTH}"):
        ours.generate_until(requests("generate_until", ("熱", {"until": [], "max_gen_toks": LENGTH})))
