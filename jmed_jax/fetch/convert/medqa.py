"""MedQA (USMLE): the test set with five and with four options, the development set, a part of the training set."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jmed_jax.errors import InputError
from jmed_jax.fetch.convert.downloads import LETTERS, NOT_AS_KNOWN, Downloads, by_letter
from jmed_jax.jsonl import write_jsonl

FIVE_OPTIONS = ("gersteinlab/MedAgents", "datasets/MedQA/test.jsonl")
FOUR_OPTIONS = ("aistairc/medLLM_QA_benchmark", "data/en/MedQA-4op/medqa_en_4op.jsonl")
DEV = ("tadsligar/MedQA2026", "data/datasets/medqa_full_dev.json")
TRAIN = ("tadsligar/MedQA2026", "data/datasets/medqa_focused_1030.json")


def convert(downloads: Downloads, out: Path) -> None:
    """Write `medqa/`."""
    folder = out / "medqa"
    folder.mkdir()
    write_jsonl(folder / "test.jsonl", _test(downloads))
    write_jsonl(folder / "dev.jsonl", _dev(downloads))
    write_jsonl(folder / "train_subset.jsonl", _train(downloads))


def _test(downloads: Downloads) -> Iterator[dict[str, Any]]:
    five, four = downloads.rows(*FIVE_OPTIONS), downloads.rows(*FOUR_OPTIONS)
    if len(five) != len(four):
        raise InputError(f"{downloads.path(*FOUR_OPTIONS)}: {len(four)} questions, not {len(five)}. {NOT_AS_KNOWN}")
    for number, (row, fewer) in enumerate(zip(five, four, strict=True)):
        yield {
            "id": f"medqa-test-{number:04d}",
            "question": row["question"],
            "options": row["options"],
            "answer_idx": row["answer_idx"],
            "answer": row["answer"],
            "options_4": by_letter(fewer["choices"]),
            "answer_idx_4": fewer["answer"][0].upper(),
            "meta_info": row["meta_info"],
        }


def _dev(downloads: Downloads) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(downloads.json(*DEV)):
        options = [option.partition(". ")[2] for option in row["options"]]
        yield {
            "id": f"medqa-dev-{number:04d}",
            "question": row["question"],
            "options": by_letter(options),
            "answer_idx": LETTERS[options.index(row["answer"])],
            "answer": row["answer"],
        }


def _train(downloads: Downloads) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(downloads.json(*TRAIN)):
        yield {
            "id": f"medqa-train-subset-{number:04d}",
            **{name: row[name] for name in ("question", "options", "answer_idx", "answer", "meta_info")},
            "category": row["validated_category"],
        }
