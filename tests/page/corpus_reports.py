"""Reports of small invented builds."""

from typing import Any

from jmed_jax.artifact import Artifact
from jmed_jax.corpus.record import Records, SourceRecord

GOOD = "主訴は三日前からの発熱である。"
BAD = "本日の特売品"
FILTERS: list[dict[str, Any]] = [
    {
        "name": "too_short",
        "description": "Characters of the text.",
        "threshold": 10,
        "keeps": "at least",
        "bins": [5, 10, 20],
    },
    {"name": "adult", "description": "Words of advertising.", "threshold": 6, "keeps": "at most", "bins": [2, 6]},
]


def add_documents(record: SourceRecord, *, kept: int, license_: str = "CC0", **dropped: int) -> None:
    """Count documents of a source: so many kept, and so many dropped for each reason."""
    for number in range(kept + sum(dropped.values())):
        text = GOOD if number < kept else BAD
        record.read.add(text + " ")
        record.cleaned.add(text)
        record.licenses[license_] += 1
    for number in range(kept):
        record.keep(f"kept-{number}", GOOD)
        record.measure("too_short", 2)
    for reason, count in dropped.items():
        for number in range(count):
            record.drop(reason, f"{reason}-{number}", BAD, "6")
            record.measure("too_short", 1)


def report_of(records: Records, **changes: Any) -> dict[str, Any]:
    """What `jmed corpus build` writes, every source seen once."""
    sources = {
        name: {
            **record.to_json(),
            "format": "jsonl",
            "synthetic": name.startswith("synthetic"),
            "epochs": 1.0,
            "mixture_characters": record.kept.characters,
        }
        for name, record in records
    }
    total = sum(entry["mixture_characters"] for entry in sources.values())
    synthetic = sum(entry["mixture_characters"] for entry in sources.values() if entry["synthetic"])
    return {
        "name": "invented",
        "sources": sources,
        "filters": FILTERS,
        "mixture": {
            "documents": sum(record.kept.documents for _, record in records),
            "characters": total,
            "synthetic_share": synthetic / total if total else 0.0,
            "notes": [],
        },
        "contaminated": [],
    } | changes


def small_records() -> Records:
    """Two sources with something of everything."""
    records = Records()
    add_documents(records["web"], kept=6, too_short=2, near_duplicate=1, contaminated=1)
    add_documents(records["synthetic_books"], kept=4, license_="unknown")
    web = records["web"]
    web.personal_data["telephone"] += 3
    for line in range(40):
        web.problems.add("not UTF-8", f"part-1.jsonl:{line + 1}")
    return records


def small_report() -> dict[str, Any]:
    contaminated = {
        "id": "web/contaminated-0",
        "source": "web",
        "evaluation_set": "exam.jsonl",
        "span": "正しいのはどれか",
    }
    report = report_of(small_records(), contaminated=[contaminated])
    report["mixture"]["notes"] = ["The epochs of synthetic_books were lowered."]
    return report


def artifact(tmp_path: Any = "corpus", **config: Any) -> Artifact:
    """A corpus on paper."""
    files = {"documents-00000.jsonl.zst": {"bytes": 1_234_567, "sha256": "0" * 64}}
    return Artifact(tmp_path, "corpus", {"evaluation_sets": ["exam.jsonl"], **config}, {}, {}, files)
