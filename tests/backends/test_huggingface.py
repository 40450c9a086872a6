from pathlib import Path

import numpy as np
import pytest

from jmed_jax.backends.huggingface import HuggingFaceEncoder, HuggingFaceModel
from jmed_jax.backends.protocol import Decoding
from jmed_jax.errors import InputError
from tests.backends.directories import write_bert, write_llama

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

QUESTIONS = ["肺炎", "肺炎の治療について説明", "答えて", "はい、いえ", "の"]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("models") / "tiny-llama")


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bert(tmp_path_factory.mktemp("models") / "tiny-bert")


def asked(*questions: str) -> list[list[dict[str, str]]]:
    return [[{"role": "user", "content": question}] for question in questions]


# --- answers ----------------------------------------------------------------------------------------------------------


def test_a_batch_gives_the_answers_of_single_questions_in_their_order(llama: Path) -> None:
    batched, single = HuggingFaceModel(llama, batch_size=3), HuggingFaceModel(llama, batch_size=1)
    answers = batched.complete(asked(*QUESTIONS), Decoding(8))
    assert answers == [single.complete(asked(question), Decoding(8))[0] for question in QUESTIONS]
    assert len({answer.text for answer in answers}) > 1
    assert batched.name == "tiny-llama"


def test_answers_are_greedy_without_prompt_and_special_tokens(llama: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(llama)
    model = transformers.AutoModelForCausalLM.from_pretrained(llama)
    ids = tokenizer("user:肺炎\nassistant:", add_special_tokens=False)["input_ids"]
    expected: list[int] = []
    with torch.no_grad():
        while len(expected) < 8:
            best = int(model(torch.tensor([ids + expected])).logits[0, -1].argmax())
            if best == tokenizer.eos_token_id:
                break
            expected.append(best)
    backend = HuggingFaceModel(llama)
    (answer,) = backend.complete(asked("肺炎"), Decoding(8))
    assert answer.text == tokenizer.decode(expected, skip_special_tokens=True)
    assert (backend.counts["requests"], backend.counts["answers"]) == (1, 1)
    assert backend.counts["prompt_tokens"] == len(ids)


def test_a_prompt_longer_than_the_model_reads_is_an_error_of_that_question_alone(llama: Path) -> None:
    backend = HuggingFaceModel(llama)
    short, long = backend.complete(asked("肺炎", "肺" * 60), Decoding(8))
    assert short.text
    assert (long.text, long.error) == ("", "the prompt exceeds 56 tokens")
    assert long.overlong and long.is_final and not short.overlong
    assert backend.counts["prompt too long"] == 1


def test_a_model_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    backend = HuggingFaceModel(write_llama(tmp_path / "base", chat_template=None))
    with pytest.raises(InputError, match=r"no chat template.*--plain"):
        backend.complete(asked("肺炎"), Decoding(1))
    assert backend.complete(["肺炎"], Decoding(4))[0].text


def test_likelihoods_are_those_of_single_sequences(llama: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(llama)
    model = transformers.AutoModelForCausalLM.from_pretrained(llama)
    pairs = [("肺炎", "の治療"), (asked("はい")[0], "高"), ("質問に答え", "て"), ("肺炎の治療について", "説明します")]
    found = dict(HuggingFaceModel(llama, batch_size=3).loglikelihood(pairs))
    for index, (prompt, continuation) in enumerate(pairs):
        text = prompt if isinstance(prompt, str) else "user:はい\nassistant:"
        ids = tokenizer(text)["input_ids"]
        target = tokenizer(continuation)["input_ids"]
        with torch.no_grad():
            log_probabilities = model(torch.tensor([ids + target])).logits[0].log_softmax(-1)[len(ids) - 1 : -1]
        expected = sum(float(row[token]) for row, token in zip(log_probabilities, target, strict=True))
        assert found[index].log_probability == pytest.approx(expected, abs=1e-4)
        is_greedy = log_probabilities.argmax(-1).tolist() == target
        assert (found[index].tokens, found[index].is_greedy) == (len(target), is_greedy)
        assert found[index].prompt_tokens == len(ids)


def test_four_bits_need_a_gpu(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="--four-bit needs a GPU"):
        HuggingFaceModel(llama, four_bit=True)


def test_an_answer_ends_before_a_stop_text_and_beams_are_those_of_transformers(llama: Path) -> None:
    backend = HuggingFaceModel(llama)
    (whole,) = backend.complete(["肺炎"], Decoding(8))
    (cut,) = backend.complete(["肺炎"], Decoding(8, stop=(whole.text[2:4],)))
    assert cut.text == whole.text[: whole.text.find(whole.text[2:4])]
    model = transformers.AutoModelForCausalLM.from_pretrained(llama)
    tokenizer = transformers.AutoTokenizer.from_pretrained(llama)
    ids = tokenizer("肺炎", return_tensors="pt")
    expected = model.generate(**ids, num_beams=3, max_new_tokens=8, do_sample=False)[0, ids["input_ids"].shape[1] :]
    (beams,) = backend.complete(["肺炎"], Decoding(8, beams=3))
    assert beams.text == tokenizer.decode(expected, skip_special_tokens=True)


def test_a_conversation_that_the_template_refuses_is_an_error(tmp_path: Path) -> None:
    template = "{{ raise_exception('no system message, please') }}"
    backend = HuggingFaceModel(write_llama(tmp_path / "strict", chat_template=template))
    with pytest.raises(InputError, match="no system message"):
        backend.complete(asked("肺炎"), Decoding(1))


# --- vectors ----------------------------------------------------------------------------------------------------------


def test_vectors_are_the_mean_of_the_last_hidden_states(bert: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(bert)
    model = transformers.AutoModel.from_pretrained(bert).eval()
    encoder = HuggingFaceEncoder(bert, batch_size=2)
    vectors_ND = encoder.encode(QUESTIONS)
    assert vectors_ND.shape == (5, 16) == (5, encoder.dimensions)
    assert vectors_ND.dtype == np.float32
    for text, vector_D in zip(QUESTIONS, vectors_ND, strict=True):
        with torch.no_grad():
            expected_D = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0)
        np.testing.assert_allclose(vector_D, expected_D, atol=1e-5)
    assert encoder.tokens == sum(len(tokenizer(text)["input_ids"]) for text in QUESTIONS)


def test_a_decoder_encodes_too(llama: Path) -> None:
    one, several = HuggingFaceEncoder(llama, batch_size=1), HuggingFaceEncoder(llama, batch_size=5)
    np.testing.assert_allclose(one.encode(QUESTIONS), several.encode(QUESTIONS), atol=1e-5)


def test_a_long_text_is_cut_and_an_empty_one_is_zero(bert: Path) -> None:
    encoder = HuggingFaceEncoder(bert, max_length=4)
    cut, same, empty = encoder.encode(["肺炎の治療について", "肺炎の治", ""])
    np.testing.assert_allclose(cut, same, atol=1e-6)
    assert not empty.any()
    assert encoder.encode([]).shape == (0, 16)
    # The model's own limit goes before.
    assert HuggingFaceEncoder(bert, max_length=1000).encode(["肺" * 100]).shape == (1, 16)


def test_the_fingerprint_is_that_of_the_files(bert: Path, llama: Path, tmp_path: Path) -> None:
    twin = write_bert(tmp_path / "other name")
    assert HuggingFaceEncoder(bert).fingerprint == HuggingFaceEncoder(twin).fingerprint
    assert HuggingFaceEncoder(bert).fingerprint != HuggingFaceEncoder(llama).fingerprint


# --- what cannot be opened --------------------------------------------------------------------------------------------


def test_without_pytorch_the_error_says_so(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(InputError, match="PyTorch, which is not installed"):
        HuggingFaceEncoder(bert)


def test_no_directory_of_a_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config\.json"):
        HuggingFaceModel(tmp_path)


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    path = write_bert(tmp_path / "bert")
    (path / "model.safetensors").rename(path / "pytorch_model.bin")
    with pytest.raises(InputError, match="pickled weights"):
        HuggingFaceEncoder(path)


def test_damaged_weights_are_an_error_of_one_line(tmp_path: Path) -> None:
    path = write_bert(tmp_path / "bert")
    weights = path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError, match="cannot open") as error:
        HuggingFaceEncoder(path)
    assert "\n" not in str(error.value)


def test_an_encoder_cannot_answer(bert: Path) -> None:
    with pytest.raises(InputError, match="no weights for"):
        HuggingFaceModel(bert)


def test_code_of_the_directory_is_not_run(tmp_path: Path) -> None:
    path = write_llama(tmp_path / "llama")
    (path / "evil.py").write_text("raise SystemExit('run')")
    config = (path / "config.json").read_text()
    config = config.replace('"model_type": "llama"', '"model_type": "evil"').replace(
        "{", '{"auto_map": {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"},', 1
    )
    (path / "config.json").write_text(config)
    with pytest.raises(InputError, match="cannot open"):
        HuggingFaceModel(path)
