"""Term lists for MeCab and for topics, and the descriptions of diseases that come with one of them."""

import csv
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from jmed_jax.errors import InputError
from jmed_jax.fetch.convert.downloads import NOT_AS_KNOWN, Downloads
from jmed_jax.jsonl import open_text, write_jsonl

MANBYO, MANBYO_FREQUENT = "ujiuji1259/manbyo-manage", "sociocom/PatientExpression"
NANDO, DPC, MEDDIC = "aidrd/nando", "code4fukui/dpc-words", "sociocom/EntityNormalizer"
RESOURCES = "EntityNormalizer/resources/MedDic-CANCER-"

COPIED = {
    "icd10_dpc.csv": (DPC, "icd.csv"),
    "meddic_cancer_ade.csv": (MEDDIC, f"{RESOURCES}ADE-JA_202306.csv"),
    "meddic_cancer_drug.csv": (MEDDIC, f"{RESOURCES}DRUG-JA_202306.csv"),
}
"""Our name → home and path of a file that is taken as it is."""
# What our columns are called there.
FREQUENT = {
    "surface": "出現形",
    "icd10": "ICDコード",
    "standard": "標準病名",
    "reading_hiragana": "しゅつげんけい",
    "utokyo_record_count": "東大診療録頻度",
}
KINDS = {"data/nanbyo.json": "designated_intractable", "data/shoman.json": "pediatric_chronic"}
NANDO_COLUMNS = ("id", "kind", "name_ja", "name_en", "synonyms_ja", "notification_no")


def convert(downloads: Downloads, out: Path) -> None:
    """Write the files of `dictionary/`."""
    folder = out / "dictionary"
    folder.mkdir()
    for name, (home, path) in COPIED.items():
        shutil.copyfile(downloads.path(home, path), folder / name)
    names = downloads.table(MANBYO, "backend/resource/dic.csv", columns=3)
    first: dict[str, list[str]] = {}
    for row in names:
        # Forms come by frequency; of one that stands there twice the first row counts.
        first.setdefault(row[0], row)
    _write(folder / "manbyo_disease_names.csv.gz", ("surface", "icd10", "standard"), first.values())
    _write(folder / "manbyo_frequent_with_readings.csv", tuple(FREQUENT), _frequent(downloads))
    _write(folder / "nando_diseases.csv", NANDO_COLUMNS, _nando(downloads))


def convert_descriptions(downloads: Downloads, out: Path) -> None:
    """Write `pretrain/pediatric_chronic_diseases.jsonl.gz`: a document a disease."""
    (out / "pretrain").mkdir()
    path = out / "pretrain" / "pediatric_chronic_diseases.jsonl.gz"
    write_jsonl(path, _descriptions(downloads, "data/shoman.json"))


def _frequent(downloads: Downloads) -> Iterator[list[str]]:
    path = downloads.path(MANBYO_FREQUENT, "flask/MANBYO_mini.txt")
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        if missing := set(FREQUENT.values()) - set(reader.fieldnames or ()):
            raise InputError(f"{path}: no column {', '.join(sorted(missing))}. {NOT_AS_KNOWN}")
        for row in reader:
            yield [row[name] for name in FREQUENT.values()]


def _nando(downloads: Downloads) -> Iterator[list[str]]:
    for path, kind in KINDS.items():
        for entry in _entries(downloads, path):
            synonyms = "|".join(entry["synonyms_ja"])
            names = (entry["name_ja"], entry["name_en"])
            yield [entry["id"], kind, *names, synonyms, entry["notification_no"]]


def _entries(downloads: Downloads, path: str) -> list[dict[str, Any]]:
    entries = downloads.json(NANDO, path)
    needed = {"id", "name_ja", "name_en", "synonyms_ja", "notification_no", "description"}
    if not isinstance(entries, list) or not all(isinstance(entry, dict) and needed <= set(entry) for entry in entries):
        fields = ", ".join(sorted(needed))
        raise InputError(f"{downloads.path(NANDO, path)}: no list of diseases with {fields}. {NOT_AS_KNOWN}")
    return entries


def _descriptions(downloads: Downloads, path: str) -> Iterator[dict[str, str]]:
    for entry in _entries(downloads, path):
        if entry["description"]:
            title = f"{entry['name_ja']}（{entry['name_en']}）"
            yield {
                "id": f"shoman-{entry['id']}",
                "title": title,
                "text": f"{title}\n{entry['description']}",
                "source": f"github {NANDO}:{path}",
                "license": "CC BY 4.0",
            }


def _write(path: Path, columns: Sequence[str], rows: Iterable[list[str]]) -> None:
    with open_text(path, "w") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
