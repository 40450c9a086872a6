"""Lists of diseases, drugs and terms as their publishers distribute them, read row by row.

A list is recognised by the columns that its header names. Lists are UTF-8, with or without a byte order mark; one in
another encoding (cp932 in most spreadsheets of Japanese authorities) is read when the caller names the encoding.
"""

import csv
import gzip
import io
import re
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jmed_jax.errors import InputError
from jmed_jax.tokenizer.drug_names import brand_name, without_maker, without_salt

Kind = Literal["disease", "drug", "term"]
Row = Mapping[str, str]

SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".utx", ".utx.gz", ".txt", ".txt.gz")
# A published sheet may open with a title and a date; the header comes within so many rows.
ROWS_BEFORE_HEADER = 10
RELIABILITY_LEVELS = "SABCDEF"


@dataclass(frozen=True)
class ListEntry:
    """What one row of a list says, as it is published; `""` or `()` where the list has no such column.

    Attributes:
        name: the name itself; of a drug the ingredient, without remarks in brackets.
        kind: "disease", "drug", or "term" where the list does not tell.
        synonyms: other names of the same; of a drug the ingredient without its salt, and the brand without its form.
        standard_names: names of the standard disease master; several for a compound of diseases.
        icd10: codes in capitals without a point, e.g. "I693".
        english: the English name.
        reading: in katakana.
        ingredient: of a product, as published.
        brand: of a product, as published, with maker, strength and form.
        specification: strength and unit of a product, as published.
        uncoded: MANBYO gives it no ICD-10 code: a phrase from a record rather than a name.
        reliability: MANBYO's level, S (standard disease master) over A, B, C (coded by people) to D, E, F (by machine).
    """

    name: str
    kind: Kind
    synonyms: tuple[str, ...] = ()
    standard_names: tuple[str, ...] = ()
    icd10: tuple[str, ...] = ()
    english: str = ""
    reading: str = ""
    ingredient: str = ""
    brand: str = ""
    specification: str = ""
    reliability: str = ""
    uncoded: bool = False


@dataclass(frozen=True)
class ListFormat:
    """A published list.

    Attributes:
        name: what its publisher calls it.
        columns: its header has all of them, and may have more.
        entry: reads a row.
    """

    name: str
    columns: frozenset[str]
    entry: Callable[[Row], ListEntry]


def find_lists(sources: Sequence[Path], *, encoding: str | None = None) -> list[Path]:
    """The files given, and of every directory given those that are lists: plain ones and those of a known format.

    Raises:
        InputError: a directory holds no list, or a file cannot be read.
    """
    files: list[Path] = []
    for source in sources:
        if not source.is_dir():
            files.append(source)
            continue
        candidates = [path for path in sorted(source.iterdir()) if path.name.endswith(SUFFIXES)]
        lists = [path for path in candidates if _is_plain(path) or list_format(path, encoding=encoding) is not None]
        if not lists:
            raise InputError(f"{source}: no term list in this directory. {_understood()}")
        files += lists
    return files


def list_format(path: Path, *, encoding: str | None = None) -> ListFormat | None:
    """The format of a table, or None if its columns are of none.

    Raises:
        InputError: the file is missing, broken, or neither UTF-8 nor in `encoding`.
    """
    found, _ = _find_header(_table(path, encoding))
    return found


def read_list(path: Path, *, encoding: str | None = None) -> Iterator[ListEntry]:
    """Yield the entries of a published list, or of a `.txt` file of a name a line.

    The kind of a `.txt` file is in its name: "…drug…" or "…disease…", otherwise "term".

    Args:
        encoding: of a list that is not UTF-8.

    Raises:
        InputError: the file is missing, broken, in another encoding, or its columns are unknown.
    """
    if _is_plain(path):
        kind: Kind = "drug" if "drug" in path.name else "disease" if "disease" in path.name else "term"
        for line in _text(path, encoding).splitlines():
            if line.strip():
                yield ListEntry(line.strip(), kind)
        return
    found, rows = _read_table(path, encoding)
    for entry in map(found.entry, rows):
        if entry.name:
            yield entry


def read_rows(path: Path, *, encoding: str | None = None) -> Iterator[dict[str, str]]:
    """Yield the rows of a published list with all its columns, those too that a `ListEntry` does not hold.

    Raises:
        InputError: as `read_list`.
    """
    _, rows = _read_table(path, encoding)
    yield from rows


def _read_table(path: Path, encoding: str | None) -> tuple[ListFormat, Iterator[dict[str, str]]]:
    table = _table(path, encoding)
    found, header = _find_header(table)
    if found is None:
        raise InputError(f"{path}: unknown columns {','.join(header)!r}. {_understood()}")
    rows = (
        dict(zip(header, cells + [""] * (len(header) - len(cells)), strict=False))
        for cells in table
        if not (cells and cells[0].startswith("#"))
    )
    return found, rows


# --- files ------------------------------------------------------------------------------------------------------------


def _is_plain(path: Path) -> bool:
    return path.name.endswith((".txt", ".txt.gz"))


def _text(path: Path, encoding: str | None) -> str:
    """The whole file; lists have a few megabytes. Japanese text in another encoding is never valid UTF-8."""
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: broken ({error}). Fetch it again.") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}.") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if encoding is None:
            line = content[: error.start].count(b"\n") + 1
            raise InputError(f"{path}:{line}: not UTF-8. Name the encoding, e.g. --encoding cp932.") from error
    try:
        return content.decode(encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise InputError(f"{path}: neither UTF-8 nor {encoding} ({error}).") from error


def _table(path: Path, encoding: str | None) -> Iterator[list[str]]:
    delimiter = "," if path.name.endswith((".csv", ".csv.gz")) else "\t"
    return csv.reader(io.StringIO(_text(path, encoding), newline=""), delimiter=delimiter)


def _find_header(table: Iterator[list[str]]) -> tuple[ListFormat | None, list[str]]:
    """The format and the header, up to which the table is read; without a format, the table's first row."""
    first: list[str] = []
    for _, cells in zip(range(ROWS_BEFORE_HEADER), table, strict=False):
        # A header cell of a spreadsheet may hold line breaks and spaces that only shape the column.
        # The header of a UTX glossary is its last line of comment ("#src").
        header = [re.sub(r"\s", "", cell).removeprefix("#") for cell in cells]
        first = first or header
        for known in LIST_FORMATS:
            if known.columns <= set(header):
                return known, header
    return None, first


def _understood() -> str:
    columns = "; ".join(",".join(sorted(known.columns)) for known in LIST_FORMATS)
    return f"Understood are .txt files (one term a line) and .csv or .tsv files with the columns {columns}."


# --- cells ------------------------------------------------------------------------------------------------------------

_CODE = re.compile("[A-Z][0-9][0-9A-Z]{1,3}")
_HIRAGANA_TO_KATAKANA = {code: code + 0x60 for code in range(ord("ぁ"), ord("ゖ") + 1)}


def _split(cell: str, marks: str) -> tuple[str, ...]:
    """The parts of a cell; "-1" and "[…]" say in MANBYO and MedDic-CANCER that there is none."""
    parts = (part.strip() for part in re.split(f"[{marks}]", cell))
    return tuple(part for part in parts if part and part != "-1" and not part.startswith("["))


def _codes(cell: str) -> tuple[str, ...]:
    """ICD-10 codes of a cell: "C71$" and "C71.-" are "C71"; what is no code ("ｺｰﾄﾞ無し") is left out."""
    written = unicodedata.normalize("NFKC", cell).upper().replace(".", "")
    return tuple(_CODE.findall(written))


def _reading(cell: str) -> str:
    """Katakana of a reading in kana of any width; letters stay (Ｓじょうけっちょう); "" if it is none."""
    written = unicodedata.normalize("NFKC", cell).translate(_HIRAGANA_TO_KATAKANA).strip()
    return written if re.fullmatch("[ァ-ヺー・A-Za-z]+", written) else ""


# --- the formats ------------------------------------------------------------------------------------------------------


def _manbyo(row: Row) -> ListEntry:
    """MANBYO as published: 202106 (…コード, …レベル) and the years before it (ICD10コード, 信頼度LEVEL)."""
    code = row.get("ICDコード") or row.get("ICD10コード", "")
    return ListEntry(
        row["出現形"],
        "disease",
        standard_names=_split(row["標準病名"], "，,;；"),
        icd10=_codes(code),
        reading=_reading(row.get("出現形よみ", "")),
        reliability=(row.get("信頼度レベル") or row.get("信頼度LEVEL", "")).strip().upper(),
        uncoded=code.strip() == "-1",
    )


def _manbyo_subset(row: Row) -> ListEntry:
    return ListEntry(
        row["surface"],
        "disease",
        standard_names=_split(row["standard"], "，,"),
        icd10=_codes(row["icd10"]),
        reading=_reading(row.get("reading_hiragana", "")),
        uncoded=row["icd10"].strip() == "-1",
    )


def _nando(row: Row) -> ListEntry:
    # A group of diseases names its members one after the other.
    first, *others = _split(row["name_ja"], ";；") or ("",)
    synonyms = (*others, *_split(row["synonyms_ja"], ";；|／"))
    return ListEntry(first, "disease", synonyms=synonyms, english=row.get("name_en", ""))


def _product(ingredient: str, brand: str, specification: str) -> ListEntry:
    substance, product = without_maker(ingredient), brand_name(brand)
    names = dict.fromkeys((without_salt(substance), "" if product.endswith(substance) else product))
    return ListEntry(
        substance,
        "drug",
        # ツムラ桂枝湯エキス is 桂枝湯エキス with the name of its maker.
        synonyms=tuple(name for name in names if name and name != substance),
        ingredient=ingredient,
        brand=brand,
        specification=specification,
    )


def _meddic_event(row: Row) -> ListEntry:
    return ListEntry(
        row["出現形"],
        "disease",
        standard_names=_split(row["[標準病名]"], "，,;；"),
        icd10=_codes(row.get("[ICDコード]", "")),
    )


# 悪性新生物＜腫瘍＞: the same under two names, of which the first is enough.
_OR_CALLED = re.compile("＜[^＞]*＞")


def _icd10(row: Row) -> ListEntry:
    return ListEntry(_OR_CALLED.sub("", row["ICD名称"]), "disease", icd10=_codes(row["ICDコード"]))


LIST_FORMATS = (
    ListFormat("MANBYO", frozenset({"出現形", "標準病名", "信頼度レベル"}), _manbyo),
    ListFormat("MANBYO before 2021", frozenset({"出現形", "標準病名", "信頼度LEVEL"}), _manbyo),
    ListFormat("MANBYO, three columns", frozenset({"surface", "icd10", "standard"}), _manbyo_subset),
    ListFormat("NANDO", frozenset({"name_ja", "synonyms_ja"}), _nando),
    ListFormat(
        "NHI drug price list, cleaned",
        frozenset({"ingredient", "brand"}),
        lambda row: _product(row["ingredient"], row["brand"], row.get("specification", "")),
    ),
    ListFormat(
        "NHI drug price list",
        frozenset({"成分名", "品名", "規格"}),
        lambda row: _product(row["成分名"], row["品名"], row["規格"]),
    ),
    ListFormat("MedDic-CANCER, adverse events", frozenset({"出現形", "[標準病名]"}), _meddic_event),
    ListFormat("MedDic-CANCER, drugs", frozenset({"一般名", "[大分類]"}), lambda row: ListEntry(row["一般名"], "drug")),
    ListFormat("ICD-10 names of the DPC tables", frozenset({"ICD名称", "ICDコード"}), _icd10),
    ListFormat(
        "UTX glossary", frozenset({"src", "tgt"}), lambda row: ListEntry(row["tgt"], "term", english=row["src"])
    ),
    ListFormat(
        "UTX glossary, languages named",
        frozenset({"en", "ja"}),
        lambda row: ListEntry(row["ja"], "term", english=row["en"]),
    ),
    ListFormat(
        "Wikidata pairs",
        frozenset({"en_label", "ja_label"}),
        lambda row: ListEntry(row["ja_label"], "term", english=row["en_label"]),
    ),
)
