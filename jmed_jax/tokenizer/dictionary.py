"""The MeCab user dictionary of disease and drug names, from term lists as their publishers distribute them.

arXiv 2412.16423 §2.2 uses the disease names of J-Medic (MANBYO); drug names and the other lists are our choice.
"""

import csv
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jmed_jax import artifact
from jmed_jax.artifact import Artifact
from jmed_jax.errors import InputError
from jmed_jax.jsonl import read_lines
from jmed_jax.progress import track
from jmed_jax.tokenizer.clean import clean
from jmed_jax.tokenizer.core import USER_DICTIONARY_FILE

TERMS_FILE = "terms.tsv"
SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz")

# A term costs what ipadic's own words for it cost together, less this for each boundary between them that it saves.
# So a term is always cheaper than any chain of shorter terms, and a longer word of ordinary language that overlaps one
# of its ends still wins. Measured with 3,000 of 82,872 terms in five clinical sentences each, and on 441,431 characters
# of laws, Wikipedia and novels: 500 keeps 77.6 % of the terms whole, 1,000 91.3 %, 2,000 97.9 %; the rest are mostly
# part of a longer term (右 + 下肢深部静脈血栓). Ordinary text gets 4 word boundaries that ipadic alone does not set;
# with 5,000 it gets 14.
MARGIN = 2000
# ipadic's context of 名詞,固有名詞,一般. Its connections to the ends of a sentence are small and stay in the cost.
CONTEXT = 1288
LARGEST_COST = 32_767

SHORTEST_TERM, LONGEST_TERM = 2, 40
# Glossaries hold ordinary words beside the names: 第一, 大きさ, 第2.
SHORTEST_GENERAL_TERM = 4
_ORDINARY = re.compile("[ぁ-ゖ0-9]")


@dataclass(frozen=True)
class Term:
    """A name, the list it came from, and "disease", "drug" or "term"."""

    text: str
    source: str
    kind: str


Row = dict[str, str]


@dataclass(frozen=True)
class _Format:
    """A published list, recognised by columns that its header must have."""

    columns: frozenset[str]
    kind: str
    names: Callable[[Row], Iterable[str]]


def build_dictionary(sources: Sequence[Path], out: Path, *, overwrite: bool = False) -> Artifact:
    """Compile term lists into a "dictionary" artefact: `terms.tsv` and `user.dic`.

    Args:
        sources: term lists, or directories, of which every recognised list is read.
        out: the artefact's directory.

    Raises:
        InputError: a list is missing or not recognised, no term is left, or `out` exists.
    """
    artifact.check_free(out, overwrite)
    files = _list_files(sources)
    terms = _read_terms(files)
    if not terms:
        raise InputError(f"{', '.join(map(str, sources))}: no usable term. Terms have 2 to 40 characters, no spaces.")
    config = {"morphology": "ipadic", "margin": MARGIN, "sources": [path.name for path in files]}
    with artifact.create(out, "dictionary", config, overwrite=overwrite) as draft:
        words = _words_with_costs(terms)
        _write_terms(terms, draft.path / TERMS_FILE)
        _compile(words, draft.path / USER_DICTIONARY_FILE)
        draft.inputs.update({path.name: artifact.file_sha256(path) for path in files})
        kinds = Counter(term.kind for term in terms)
        draft.counts.update(terms=len(terms), words=len(words), kinds=dict(sorted(kinds.items())))
    return artifact.open_artifact(out, "dictionary")


# --- reading ----------------------------------------------------------------------------------------------------------


def _list_files(sources: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for source in sources:
        if not source.is_dir():
            files.append(source)
            continue
        candidates = [path for path in sorted(source.iterdir()) if path.name.endswith(SUFFIXES)]
        recognised = [path for path in candidates if _is_plain(path) or _find_format(_header(path)) is not None]
        if not recognised:
            raise InputError(f"{source}: no term list in this directory. {_understood()}")
        files += recognised
    return files


def _read_terms(files: Sequence[Path]) -> list[Term]:
    """Every usable term once, under the first list that has it."""
    terms: dict[str, Term] = {}
    for path in files:
        for name, kind in track(_read_names(path), f"Reading {path.name}", unit="names"):
            text = clean(name)
            if text not in terms and is_usable(text, kind):
                terms[text] = Term(text, path.name, kind)
    return list(terms.values())


def _read_names(path: Path) -> Iterator[tuple[str, str]]:
    if _is_plain(path):
        kind = "drug" if "drug" in path.name else "disease" if "disease" in path.name else "term"
        yield from ((line.strip(), kind) for _, line in read_lines(path) if line.strip())
        return
    header = _header(path)
    found = _find_format(header)
    if found is None:
        raise InputError(f"{path}: unknown columns {','.join(header)!r}. {_understood()}")
    for row in _rows(path):
        yield from ((name, found.kind) for name in found.names(row) if name)


def _is_plain(path: Path) -> bool:
    return path.name.endswith((".txt", ".txt.gz"))


def _delimiter(path: Path) -> str:
    return "\t" if path.name.endswith((".tsv", ".tsv.gz")) else ","


def _lines(path: Path) -> Iterator[str]:
    """Lines without the comments that stand before the header of the glossary."""
    for _, line in read_lines(path):
        if not line.startswith("#"):
            yield line.removeprefix("\ufeff")


def _header(path: Path) -> list[str]:
    return next(csv.reader(_lines(path), delimiter=_delimiter(path)), [])


def _rows(path: Path) -> Iterator[Row]:
    return csv.DictReader(_lines(path), delimiter=_delimiter(path), restval="")


# --- the lists --------------------------------------------------------------------------------------------------------


def _manbyo(row: Row) -> list[str]:
    # "-1": neither an ICD-10 code nor a standard name, so a phrase from a record rather than a name.
    return [] if row["icd10"] == "-1" else [row["surface"], *re.split("[，,]", row["standard"])]


def _nando(row: Row) -> list[str]:
    return [row["name_ja"], *re.split("[;；|／]", row["synonyms_ja"])]


_MAKER = re.compile("「[^」]*」?|〔[^〕]*〕?|[(][^)]*[)]?|[*]")
_STRENGTH = re.compile(
    r"[0-9][0-9.,/×:]*( ?(mg|g|μg|kg|mL|L|%|単位|万単位|国際単位|mEq|mmol|ppm|cm)).*$|[0-9][0-9.,/:]*$"
)
_DOSAGE_FORM = re.compile(
    "(口腔内崩壊|OD|徐放|腸溶|チュアブル|舌下|バッカル|バイアル|シリンジ|キット|バッグ|ペン|オートインジェクター|カート|パッチ|"
    "分散|配合|錠|カプセル|ドライシロップ|シロップ|DS|散|末|細粒|顆粒|内用液|内服液|内用|経口|液|ゼリー|フィルム|"
    "点滴静注用?|静注用?|皮下注用?|筋注用?|皮内注用?|注射用水?|注射液?|点滴用?|注|用|"
    "軟膏|クリーム|ローション|ゲル|外用|スプレー|点眼|点鼻|点耳|眼軟膏|吸入|エアー?|テープ|パップ|貼付|坐剤|坐薬|腟)$"
)


def _brand(name: str) -> str:
    """The name without maker, strength and dosage form: エスタゾラム錠１ｍｇ「アメル」 → エスタゾラム."""
    name = _STRENGTH.sub("", _MAKER.sub("", clean(name)))
    while len(shorter := _STRENGTH.sub("", _DOSAGE_FORM.sub("", name))) < len(name):
        name = shorter
    return name


_SALT = re.compile(
    "(塩酸塩|硫酸塩|リン酸塩|酢酸塩|酒石酸塩|クエン酸塩|マレイン酸塩|フマル酸塩|メシル酸塩|ベシル酸塩|トシル酸塩|臭化水素酸塩|"
    "コハク酸塩|硝酸塩|ナトリウム|カリウム|カルシウム|水和物|無水物)+$"
)


def _drug_price(row: Row) -> list[str]:
    ingredient = _MAKER.sub("", clean(row["ingredient"]))
    return [ingredient, _SALT.sub("", ingredient), _brand(row["brand"])]


def _column(name: str) -> Callable[[Row], Iterable[str]]:
    return lambda row: [row[name]]


_FORMATS = (
    _Format(frozenset({"surface", "icd10", "standard"}), "disease", _manbyo),
    _Format(frozenset({"name_ja", "synonyms_ja"}), "disease", _nando),
    _Format(frozenset({"ingredient", "brand"}), "drug", _drug_price),
    _Format(frozenset({"出現形", "[標準病名]"}), "disease", lambda row: [row["出現形"], row["[標準病名]"]]),
    _Format(frozenset({"一般名", "[大分類]"}), "drug", _column("一般名")),
    _Format(frozenset({"ICD名称", "ICDコード"}), "disease", _column("ICD名称")),
    _Format(frozenset({"en", "ja"}), "term", _column("ja")),
    _Format(frozenset({"en_label", "ja_label"}), "term", _column("ja_label")),
)


def _find_format(header: Sequence[str]) -> _Format | None:
    return next((known for known in _FORMATS if known.columns <= set(header)), None)


def _understood() -> str:
    columns = "; ".join(",".join(sorted(known.columns)) for known in _FORMATS)
    return f"Understood are .txt files (one term a line) and .csv or .tsv files with the columns {columns}."


# --- which terms, at what cost ----------------------------------------------------------------------------------------

# No comma, quote or space, which MeCab's CSV would need escaped; no brackets, which belong to the sentence.
_TERM = re.compile(r"[\w・\-'/+〜]+")
_NO_NAME = re.compile(r"[\W\d_]+|[ -~]{1,3}|[ぁ-ゖー]{1,3}|[ァ-ヺー・]{1,3}")


def is_usable(term: str, kind: str) -> bool:
    """Whether a cleaned term may stand in the dictionary without breaking ordinary words."""
    if kind == "term" and (len(term) < SHORTEST_GENERAL_TERM or _ORDINARY.search(term)):
        return False
    return (
        SHORTEST_TERM <= len(term) <= LONGEST_TERM
        and _TERM.fullmatch(term) is not None
        and _NO_NAME.fullmatch(term) is None
    )


def _words_with_costs(terms: Sequence[Term]) -> list[tuple[str, int]]:
    """The terms that ipadic does not know as one word, and what each costs.

    What ipadic already keeps whole needs no entry; katakana that it only guesses gets one, for it guesses whole runs.
    """
    from jmed_jax.tokenizer.morphology import open_tagger

    # Of each word: its text, and whether ipadic knows it (0) or guesses (1); at the end the cost of the path.
    tagger = open_tagger("%s", "\\t%pc")
    words = []
    for term in track(terms, "Weighing terms", unit="terms"):
        parts, _, cost = tagger.parse(term.text).partition("\t")
        if len(parts) > 1 or (parts == "1" and not term.text.isascii()):
            weight = int(cost) - MARGIN * (len(parts) - 1)
            words.append((term.text, max(-LARGEST_COST, min(LARGEST_COST, weight))))
    return words


# --- writing ----------------------------------------------------------------------------------------------------------


def _write_terms(terms: Sequence[Term], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write("term\tsource\tkind\n")
        stream.writelines(f"{term.text}\t{term.source}\t{term.kind}\n" for term in terms)


# MeCab's compiler prints to standard output and ends the process when it fails: it gets a process of its own.
_COMPILE = "import sys, fugashi; fugashi.build_dictionary(sys.argv[1])"


def _compile(words: Sequence[tuple[str, int]], out: Path) -> None:
    import ipadic

    with tempfile.TemporaryDirectory() as directory:
        rows, compiled = Path(directory) / "terms.csv", Path(directory) / "user.dic"
        with rows.open("w", encoding="utf-8", newline="\n") as stream:
            for word, cost in words:
                stream.write(f"{word},{CONTEXT},{CONTEXT},{cost},名詞,固有名詞,一般,*,*,*,{word},*,*\n")
        command = f'mecab-dict-index -d "{ipadic.DICDIR}" -u "{compiled}" -f utf8 -t utf8 "{rows}"'
        result = subprocess.run([sys.executable, "-c", _COMPILE, command], capture_output=True, text=True, check=False)
        if result.returncode != 0 or not compiled.is_file():
            raise RuntimeError(f"mecab-dict-index failed: {result.stderr or result.stdout}")
        out.write_bytes(compiled.read_bytes())
