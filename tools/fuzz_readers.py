"""Damage valid files in every way that files get damaged, and see that every reader answers in one clear line.

    python tools/fuzz_readers.py --minutes 10 [--seed N] [--only NAME]

A reader must return, or raise `InputError` with one line, within `LIMIT_S`; and it must leave nothing behind. Whatever
else happens is printed once for each place where it happens, with the seed that makes it happen again.
"""

import argparse
import gzip
import json
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from jmed_jax.errors import InputError

LIMIT_S = 20
"""For the smallest files: a reader that takes longer would stand still for ever on a user's."""
Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Reader:
    """A reader, and files that it reads without a fault.

    Attributes:
        read: takes the folder that holds the files.
    """

    name: str
    files: Files
    read: Callable[[Path], object]
    writes: bool = False
    """Opening it is for writing, too."""


# --- valid files ------------------------------------------------------------------------------------------------------


def _lines(*rows: Mapping[str, Any]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


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
DOCUMENTS = _lines(*({"id": str(n), "text": "発熱と咳が続いている。" * 9, "license": "CC0"} for n in range(4)))
METADATA = {"problem_id": "112A1", "category": "内科", "kinki": ["b"], "human_accuracy": "81.5", "breakdown": []}


def _read_source(name: str, kind: str) -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        from jmed_jax.corpus.config import SourceConfig
        from jmed_jax.corpus.record import Problems
        from jmed_jax.corpus.sources import read_documents

        source = SourceConfig("fuzzed", (str(folder / name),), kind)  # type: ignore[arg-type]
        return list(read_documents(source, [folder / name], Problems()))

    return read


def _read_task(task: str, name: str) -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        from jmed_jax.evaluate.tasks import get_task

        return get_task(task).read_gold([folder / name])

    return read


def _read_questions(name: str, file: str) -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        from jmed_jax.evaluate.exams.registry import read_questions

        return read_questions(name, folder / file, "en" if name == "medqa" else "ja")

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
    return get_task(str(path)).read_gold([path])


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


def _read_artifact(folder: Path) -> object:
    from jmed_jax.artifact import open_artifact

    return open_artifact(folder, "corpus")


def _read_run(folder: Path) -> object:
    from jmed_jax.train.metrics import read_metrics
    from jmed_jax.train.run import open_run

    return open_run(folder), read_metrics(folder)


def _read_tensors(folder: Path) -> object:
    from jmed_jax.convert.tensor_files import model_slots

    return model_slots(folder)


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


def _safetensors() -> bytes:
    header = _json({"weight": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}})
    return len(header).to_bytes(8, "little") + header + bytes(16)


def _manifest(kind: str, files: Files) -> bytes:
    from hashlib import sha256

    listed = {name: {"bytes": len(data), "sha256": sha256(data).hexdigest()} for name, data in files.items()}
    return _json(
        {"kind": kind, "package": "", "created": "", "config": {}, "inputs": {}, "counts": {}, "files": listed}
    )


def _scores() -> bytes:
    entry = {
        "protocol": "jmed_llm",
        "main_metric": "accuracy",
        "metrics": {"accuracy": 1.0},
        "how": {"accuracy": "mean"},
        "out_of": {},
        "n": 1,
    }
    return _json({"model": {"name": "m"}, "tasks": {"jmed_llm.smdis": entry}})


PREDICTION = {"id": "a", "prediction": "A", "gold": "A", "output": "A", "scores": {"accuracy": 1}}
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
MEDQA = {"id": "1", "question": "Which?", "options": {"A": "a", "B": "b"}, "answer_idx": "A", "answer": "a"}
ALPACA = {"instruction": "訳せ", "input": "fever", "output": "発熱"}
SHAREGPT = {"conversations": [{"from": "human", "value": "熱は？"}, {"from": "gpt", "value": "ある。"}]}
PROMPTS = {"jmed_llm.choice": {"system": "s", "user": "{question}{options}"}}


def readers() -> list[Reader]:
    """Every reader of a user's files that does without weights."""
    evaluation = {"scores.json": _scores(), "predictions-jmed_llm.smdis.jsonl": _lines(PREDICTION)}
    corpus = {"documents-00000.jsonl.zst": zstandard.compress(DOCUMENTS)}
    sources = {
        "notes.jsonl": ("jsonl", DOCUMENTS),
        "notes.jsonl.gz": ("jsonl", gzip.compress(DOCUMENTS)),
        "notes.jsonl.zst": ("jsonl", zstandard.compress(DOCUMENTS)),
        "notes.txt": ("lines", "発熱が続く。\n咳が出る。\n".encode()),
        "book.txt.gz": ("files", gzip.compress("発熱が続く。\n".encode())),
        "web.warc": ("warc", _warc()),
        "web.wet.gz": ("warc", gzip.compress(_warc())),
    }
    return [
        *(Reader(f"source {name}", {name: data}, _read_source(name, kind)) for name, (kind, data) in sources.items()),
        Reader("gold choice", {"smdis.jsonl": _lines(CHOICE)}, _read_task("jmed_llm.smdis", "smdis.jsonl")),
        Reader("gold csv", {"smdis.csv": _csv()}, _read_task("jmed_llm.smdis", "smdis.csv")),
        Reader("gold extraction", {"nrner.jsonl": _lines(EXTRACTION)}, _read_task("jmed_llm.nrner", "nrner.jsonl")),
        Reader("gold exam", {"2018.jsonl": _lines(EXAM)}, _read_task("igakuqa", "2018.jsonl")),
        Reader("questions igakuqa", {"2018.jsonl": _lines(EXAM)}, _read_questions("igakuqa", "2018.jsonl")),
        Reader("questions medqa", {"m.jsonl": _lines(MEDQA)}, _read_questions("medqa", "m.jsonl")),
        Reader("own task", {"own.jsonl": _lines({"id": "a", "question": "q", "reference": "r"})}, _read_own_task),
        Reader("predictions", {"predictions.jsonl": _lines({"id": "a", "prediction": "A"})}, _read_predictions),
        Reader("evaluation", {**evaluation, "manifest.json": _manifest("evaluation", evaluation)}, _read_evaluation),
        Reader("prompts", {"prompts.json": _json(PROMPTS)}, _read_prompts),
        Reader("exam prompts", {"prompts.json": _exam_prompts()}, _read_exam_prompts),
        Reader("metadata", {"igakuqa/metadata/2018.jsonl": _lines(METADATA)}, _read_metadata),
        Reader("alpaca", {"a.json": _json([ALPACA])}, _read_dialogues("alpaca", "a.json")),
        Reader("sharegpt", {"s.jsonl": _lines(SHAREGPT)}, _read_dialogues("sharegpt", "s.jsonl")),
        Reader("messages", {"m.jsonl": _lines(CHAT)}, _read_dialogues("messages", "m.jsonl")),
        Reader("conversations", {"chat.jsonl": _lines(CHAT)}, _read_conversations),
        Reader(
            "terms", {"terms.csv": "surface,icd10,standard\n空想熱,R50,空想熱\n".encode()}, _read_terms("terms.csv")
        ),
        Reader("terms, plain", {"topics.txt": "空想熱\n架空疹\n".encode()}, _read_terms("topics.txt")),
        Reader("journal", _journal(), _read_journal, writes=True),
        Reader("lock", {"data.lock.json": _json({"sets": {}, "downloads": {}})}, _read_lock),
        Reader("artefact", {**corpus, "manifest.json": _manifest("corpus", corpus)}, _read_artifact),
        Reader("run", _run(), _read_run),
        Reader("safetensors", {"model.safetensors": _safetensors()}, _read_tensors),
        Reader("hf config", {"config.json": _json(QWEN2)}, _read_hf_config),
        Reader("adapter config", {"adapter_config.json": _json(ADAPTER)}, _read_adapter_config),
        Reader("output", {"output.txt": "['発熱', '咳']".encode()}, _read_outputs),
    ]


def _warc() -> bytes:
    body = "発熱が続いている。\n".encode()
    head = f"WARC/1.0\r\nWARC-Type: conversion\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return head + body + b"\r\n\r\n"


def _csv() -> bytes:
    return "tag,question,optionA,optionB,answer\nfever,熱ですか？,はい,いいえ,A\n".encode()


def _journal() -> Files:
    from jmed_jax.journal import ANSWERS_FILE, SETTINGS_FILE

    return {ANSWERS_FILE: _lines({"id": "a", "text": "A"}), SETTINGS_FILE: _json({"model": "m"})}


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
    return {"run.json": _json(run), "metrics.jsonl": _lines({"step": 1, "loss": 1.0, "tokens": 8})}


def _exam_prompts() -> bytes:
    from importlib.resources import files

    return files("jmed_jax.evaluate").joinpath("exam_prompts.json").read_bytes()


# --- damage -----------------------------------------------------------------------------------------------------------

STRANGE = (
    None,
    True,
    -1,
    10**400,
    10**4200,
    1e308,
    "",
    "\ud800",
    "\x00",
    "あ" * 5000,
    [],
    {},
    [[]],
    [None],
    {"": None},
    "NaN",
)


def damage(data: bytes, generator: random.Random) -> bytes:
    """One to three faults."""
    for _ in range(generator.randint(1, 3)):
        data = generator.choice((_cut, _flip, _insert, _delete, _repeat, _swap_json, _swap_json, _swap_json, _mark))(
            data, generator
        )
    return data


def _cut(data: bytes, generator: random.Random) -> bytes:
    return data[: generator.randint(0, len(data))]


def _flip(data: bytes, generator: random.Random) -> bytes:
    if not data:
        return b"\xff"
    place = generator.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << generator.randrange(8))]) + data[place + 1 :]


def _insert(data: bytes, generator: random.Random) -> bytes:
    place = generator.randint(0, len(data))
    piece = generator.choice(
        (b"\x00", b"\xff\xfe", b"\n", b"{", b"]" * 3, b"[" * 100_000, b'"', b"\r\n", "あ".encode()[:2])
    )
    return data[:place] + piece + data[place:]


def _delete(data: bytes, generator: random.Random) -> bytes:
    start = generator.randint(0, len(data))
    return data[:start] + data[start + generator.randint(1, 40) :]


def _repeat(data: bytes, _: random.Random) -> bytes:
    return data + data


def _mark(data: bytes, _: random.Random) -> bytes:
    return b"\xef\xbb\xbf" + data


def _swap_json(data: bytes, generator: random.Random) -> bytes:
    """Another value somewhere in one line of JSON, or a field that is gone."""
    lines = data.split(b"\n")
    number = generator.randrange(len(lines))
    try:
        value = json.loads(lines[number])
    except (ValueError, RecursionError):
        return _flip(data, generator)
    places = list(_places(value))
    if not places:
        return _json(generator.choice(STRANGE))
    holder, key = generator.choice(places)
    if generator.random() < 0.2:
        del holder[key]
    else:
        holder[key] = generator.choice(STRANGE)
    # Lone surrogates are written as escapes, as other programs do.
    lines[number] = json.dumps(value).encode()
    return b"\n".join(lines)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from _places(inner)


# --- the run ----------------------------------------------------------------------------------------------------------


class _Hangs(BaseException):
    """No `OSError` as TimeoutError is, which a reader may turn into a line of its own."""


@contextmanager
def _limited() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise _Hangs(f"longer than {LIMIT_S} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def try_once(reader: Reader, seed: int, folder: Path) -> str | None:
    """What is wrong with how the reader takes the damaged files; None if nothing is."""
    generator = random.Random(seed)
    damaged = generator.choice(sorted(reader.files))
    for name, data in reader.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(damage(data, generator) if name == damaged else data)
    if generator.random() < 0.03:
        (folder / damaged).unlink()
    elif generator.random() < 0.02:
        (folder / damaged).unlink()
        (folder / damaged).mkdir()
    there = set(folder.rglob("*"))
    try:
        with _limited():
            reader.read(folder)
    except InputError as error:
        if "\n" in str(error):
            return f"more than one line: {str(error)!r}"
    except (Exception, _Hangs) as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {str(error)[:120]}"
    left = set(folder.rglob("*")) - there
    return f"left behind: {sorted(path.name for path in left)}" if left and not reader.writes else None


def fuzz(chosen: list[Reader], seeds: Iterator[int], until: Callable[[], bool]) -> dict[str, str]:
    """Readers in turn, a seed each, until it is time; place of a fault → reader, seed and fault."""
    faults: dict[str, str] = {}
    while not until():
        for reader in chosen:
            seed = next(seeds)
            folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
            try:
                fault = try_once(reader, seed, folder)
            finally:
                # The journal removes its folder where it holds no answer.
                shutil.rmtree(folder, ignore_errors=True)
            if fault is not None:
                place = f"{reader.name}: {fault.partition(': ')[0]}"
                if place not in faults:
                    faults[place] = f"{reader.name} (seed {seed}): {fault}"
                    print(faults[place], flush=True)
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0, help="of the first damage; each further one has the next")
    parser.add_argument("--only", help="the readers whose names contain this")
    arguments = parser.parse_args()
    chosen = [reader for reader in readers() if not arguments.only or arguments.only in reader.name]
    end = time.monotonic() + 60 * arguments.minutes
    count = 0

    def seeds() -> Iterator[int]:
        nonlocal count
        while True:
            yield arguments.seed + count
            count += 1

    faults = fuzz(chosen, seeds(), lambda: time.monotonic() >= end)
    print(f"{count:,} damaged files, {len(chosen)} readers, {len(faults)} kinds of fault")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
