"""Readers of text: questions, answers, terms, prompts, configurations, and what our own commands keep."""

from collections.abc import Callable
from pathlib import Path

from fuzz_files import Files, Manifest, Reader, as_json, lines

CHOICE = {
    "id": "smdis-test-00000",
    "task": "smdis",
    "tag": "fever",
    "question": "熱ですか？\n「昨日から熱い。」",
    "options": {"A": "はい", "B": "いいえ"},
    "answer": "A",
    "doc_id": "doc-1",
}
EXTRACTION = {
    "id": "nrner-test-00000",
    "task": "nrner",
    "tag": "d",
    "question": "症状は？\n「熱と咳。」",
    "answers": ["熱", "咳"],
    "doc_id": "doc-2",
}
EXAM = {
    "problem_id": "112A1",
    "year": "2018",
    "section": "A",
    "problem_text": "どれか。",
    "choices": ["甲", "乙", "丙", "丁", "戊"],
    "answer": ["a"],
    "points": 1,
    "text_only": True,
}
CHAT = {"messages": [{"role": "user", "content": "熱は？"}, {"role": "assistant", "content": "ある。"}]}
METADATA = {"problem_id": "112A1", "category": "内科", "kinki": ["b"], "human_accuracy": "81.5", "breakdown": []}


def _read_task(task: str, name: str) -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        from jmed_jax.evaluate.tasks import get_task

        return get_task(task).read_gold([folder / name])

    return read


def _read_questions(name: str, file: str) -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        from jmed_jax.evaluate.exams.registry import read_questions

        return read_questions(name, folder / file, "ja" if name == "igakuqa" else "en")

    return read


def _read_dialogues(layout: str, file: str) -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        from jmed_jax.instruct.dialogues import read_dialogues

        return list(read_dialogues(layout, folder / file))

    return read


def _read_conversations(folder: Path) -> object:
    from jmed_jax.data.pack import read_conversations

    return list(read_conversations([folder / "chat.jsonl"]))


def _read_terms(name: str) -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        from jmed_jax.tokenizer.term_lists import find_lists, read_list

        return [list(read_list(path)) for path in find_lists([folder / name])]

    return read


def _read_own_task(folder: Path) -> object:
    from jmed_jax.evaluate.tasks import get_task

    path = folder / "own.jsonl"
    task = get_task(str(path))
    return [task.expected_output(question) for question in task.read_gold([path])]


def _read_predictions(folder: Path) -> object:
    from jmed_jax.backends.replay import Replay

    return Replay(folder / "predictions.jsonl")


def _read_evaluation(folder: Path) -> object:
    from jmed_jax.evaluate.evaluations import open_evaluation, read_rows

    evaluation = open_evaluation(folder)
    return [read_rows(evaluation, task) for task in evaluation.tasks]


def _read_prompts(folder: Path) -> object:
    from jmed_jax.evaluate.prompts import load_prompts

    return load_prompts(folder / "prompts.json", ["jmed_llm.choice"])


def _read_exam_prompts(folder: Path) -> object:
    from jmed_jax.evaluate.exam_prompts import load_exam_prompts

    return load_exam_prompts(folder / "prompts.json")


def _read_metadata(folder: Path) -> object:
    from jmed_jax.evaluate.exam_metadata import read_metadata

    return read_metadata("igakuqa", folder)


def _read_journal(folder: Path) -> object:
    from jmed_jax.journal import Journal

    with Journal(folder, {"model": "m"}) as journal:
        return list(journal.records())


def _read_lock(folder: Path) -> object:
    from jmed_jax.fetch.lock import Lock

    lock = Lock(folder)
    return lock.faults(list(lock.sets))


def _read_run(folder: Path) -> object:
    from jmed_jax.train.metrics import read_metrics
    from jmed_jax.train.run import open_run

    return open_run(folder), read_metrics(folder)


def _read_hf_config(folder: Path) -> object:
    from jmed_jax.convert.architecture import read_model_config

    return read_model_config(folder)


def _read_adapter_config(folder: Path) -> object:
    from jmed_jax.convert.peft import read_config

    return read_config(folder)


def _read_outputs(folder: Path) -> object:
    from jmed_jax.evaluate.scores import parse_choice, parse_string_list

    # What a model wrote may be anything, but it is text.
    path = folder / "output.txt"
    text = path.read_bytes().decode(errors="replace") if path.is_file() else ""
    return parse_choice(text), parse_string_list(text)


def _scores() -> bytes:
    entry = {
        "protocol": "jmed_llm",
        "main_metric": "kappa",
        "metrics": {"kappa": 1.0, "accuracy": 1.0},
        "how": {"accuracy": "mean"},
        "out_of": {},
        "n": 2,
        "kappa_weights": None,
    }
    return as_json({"model": {"name": "m"}, "tasks": {"jmed_llm.smdis": entry}})


PREDICTIONS = lines(
    {"id": "a", "prediction": "A", "gold": "A", "output": "A", "scores": {"accuracy": 1}},
    {"id": "b", "prediction": "B", "gold": "B", "output": "B", "scores": {"accuracy": 1}},
)
QWEN2 = {
    "model_type": "qwen2",
    "vocab_size": 64,
    "num_hidden_layers": 1,
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 32,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
}
ADAPTER = {
    "peft_type": "LORA",
    "r": 2,
    "lora_alpha": 4,
    "target_modules": ["q_proj"],
    "lora_dropout": 0.0,
    "bias": "none",
}
MEDMCQA = {"id": "1", "question": "Which?", "opa": "a", "opb": "b", "opc": "c", "opd": "d", "cop": 4, "exp": "so"}
OPEN = {"id": "a", "question": "q", "reference": "r"}
RUBRIC = {"id": "a", "question": "q", "rubric": "names fever", "language": "en"}
MEDQA = {"id": "1", "question": "Which?", "options": {"A": "a", "B": "b"}, "answer_idx": "A", "answer": "a"}
ALPACA = {"instruction": "訳せ", "input": "fever", "output": "発熱"}
SHAREGPT = {"conversations": [{"from": "human", "value": "熱は？"}, {"from": "gpt", "value": "ある。"}]}
PROMPTS = {"jmed_llm.choice": {"system": "s", "user": "{question}{options}"}}


def _csv() -> bytes:
    return "tag,question,optionA,optionB,answer\nfever,熱ですか？,はい,いいえ,A\n".encode()


def _journal() -> Files:
    from jmed_jax.journal import ANSWERS_FILE, SETTINGS_FILE

    return {ANSWERS_FILE: lines({"id": "a", "text": "A"}), SETTINGS_FILE: as_json({"model": "m"})}


def _run() -> Files:
    from dataclasses import asdict

    from jmed_jax.config import ExperimentConfig, ModelConfig

    model = ModelConfig(
        vocab_size=64,
        num_layers=1,
        hidden_size=8,
        mlp_size=16,
        num_heads=2,
        num_kv_heads=1,
        head_dim=4,
        context_length=8,
    )
    run = {"config": asdict(ExperimentConfig("fuzzed", model)), "inputs": {}}
    return {"run.json": as_json(run), "metrics.jsonl": lines({"step": 1, "loss": 1.0, "tokens": 8})}


def _exam_prompts() -> bytes:
    from importlib.resources import files

    return files("jmed_jax.evaluate").joinpath("exam_prompts.json").read_bytes()


def text_readers() -> list[Reader]:
    """They need nothing that takes long to import."""
    evaluation = {"scores.json": _scores(), "predictions-jmed_llm.smdis.jsonl": PREDICTIONS}
    terms = "surface,icd10,standard\n空想熱,R50,空想熱\n".encode()
    ours = {"id": "1", "question": "Which?", "choices": ["a", "b"], "answer": "A"}
    return [
        Reader("gold choice", {"smdis.jsonl": lines(CHOICE)}, _read_task("jmed_llm.smdis", "smdis.jsonl")),
        Reader("gold csv", {"smdis.csv": _csv()}, _read_task("jmed_llm.smdis", "smdis.csv")),
        Reader("gold extraction", {"nrner.jsonl": lines(EXTRACTION)}, _read_task("jmed_llm.nrner", "nrner.jsonl")),
        Reader("gold exam", {"2018.jsonl": lines(EXAM)}, _read_task("igakuqa", "2018.jsonl")),
        Reader("questions igakuqa", {"2018.jsonl": lines(EXAM)}, _read_questions("igakuqa", "2018.jsonl")),
        Reader("questions medqa", {"m.jsonl": lines(MEDQA)}, _read_questions("medqa", "m.jsonl")),
        Reader("questions medmcqa", {"m.jsonl": lines(MEDMCQA)}, _read_questions("medmcqa", "m.jsonl")),
        Reader("questions medmcqa, ours", {"m.jsonl": lines(ours)}, _read_questions("medmcqa", "m.jsonl")),
        Reader("own task", {"own.jsonl": lines(OPEN, {**OPEN, "id": "b"})}, _read_own_task),
        Reader("own task, rubrics", {"own.jsonl": lines(RUBRIC, {**RUBRIC, "id": "b"})}, _read_own_task),
        Reader("predictions", {"predictions.jsonl": lines({"id": "a", "prediction": "A"})}, _read_predictions),
        Reader("evaluation", evaluation, _read_evaluation, Manifest("evaluation", {}, {}, {})),
        Reader("prompts", {"prompts.json": as_json(PROMPTS)}, _read_prompts),
        Reader("exam prompts", {"prompts.json": _exam_prompts()}, _read_exam_prompts),
        Reader("metadata", {"igakuqa/metadata/2018.jsonl": lines(METADATA)}, _read_metadata),
        Reader("alpaca", {"a.json": as_json([ALPACA])}, _read_dialogues("alpaca", "a.json")),
        Reader("sharegpt", {"s.jsonl": lines(SHAREGPT)}, _read_dialogues("sharegpt", "s.jsonl")),
        Reader("messages", {"m.jsonl": lines(CHAT)}, _read_dialogues("messages", "m.jsonl")),
        Reader("conversations", {"chat.jsonl": lines(CHAT)}, _read_conversations),
        Reader("terms", {"terms.csv": terms}, _read_terms("terms.csv")),
        Reader("terms, plain", {"topics.txt": "空想熱\n架空疹\n".encode()}, _read_terms("topics.txt")),
        Reader("journal", _journal(), _read_journal, writes=True),
        Reader("lock", {"data.lock.json": as_json({"sets": {}, "downloads": {}})}, _read_lock),
        Reader("run", _run(), _read_run),
        Reader("hf config", {"config.json": as_json(QWEN2)}, _read_hf_config),
        Reader("adapter config", {"adapter_config.json": as_json(ADAPTER)}, _read_adapter_config),
        Reader("output", {"output.txt": "['発熱', '咳']".encode()}, _read_outputs),
    ]
