"""Write the synthetic sample: the layout and schemas of the real data, every word invented.

`jmed quickstart` runs on it when the user gives no data. Equal seeds give equal bytes.
"""

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jmed_jax.artifact import replacing
from jmed_jax.sample.choices import jcsts_options
from jmed_jax.sample.exam import EXAM_YEAR, exam_rows
from jmed_jax.sample.glossary import load_glossary
from jmed_jax.sample.lexicon import load_lexicon, load_text
from jmed_jax.sample.tasks import task_rows
from jmed_jax.sample.textbook import record_rows, textbook_rows


def write_sample(out: Path, *, seed: int = 0) -> None:
    """Write the sample into the directory `out`; files of the same names there are replaced.

    Args:
        out: made if it does not exist.
        seed: another seed gives other documents and questions from the same templates.
    """
    lexicon, glossary = load_lexicon(), load_glossary()
    _write_rows(out / "pretrain/synthetic_textbook.jsonl.gz", textbook_rows(lexicon, glossary, seed))
    _write_rows(out / "pretrain/synthetic_records.jsonl.gz", record_rows(lexicon, seed))
    terms = sorted({*lexicon.terms, *glossary.definitions})
    _write(out / "dictionary/synthetic_terms.txt", "".join(f"{term}\n" for term in terms))
    tests, train = task_rows(lexicon, seed)
    for task, rows in tests.items():
        _write_rows(out / f"jmed_llm/test/{task}.jsonl", rows)
        _write_rows(out / f"jmed_llm/train/{task}.jsonl.gz", train[task])
    _write(out / "jmed_llm/jcsts_options.json", json.dumps(jcsts_options(), ensure_ascii=False, indent=1) + "\n")
    _write_rows(out / f"igakuqa/ja/{EXAM_YEAR}.jsonl", exam_rows(lexicon, seed))
    _write(out / "igakuqa/fewshot.jsonl", load_text("fewshot.jsonl"))
    _write(out / "README.md", load_text("readme.txt"))
    # Last, so that a directory with it is a complete one; `--overwrite` replaces no other.
    _write(out / "sample.json", json.dumps({"kind": "synthetic sample", "seed": seed}) + "\n")


def _write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    _write(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _write(path: Path, text: str) -> None:
    data = text.encode()
    if path.suffix == ".gz":
        # jsonl.write_jsonl would put the time of day into the header, and the bytes would never be the same twice.
        data = gzip.compress(data, mtime=0)
    with replacing(path) as temporary:
        temporary.write_bytes(data)
