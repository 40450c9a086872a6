"""The MeCab user dictionary of disease and drug names.

arXiv 2412.16423 §2.2 uses the disease names of J-Medic (MANBYO); drug names and the other lists are our choice.
"""

import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from jmed_jax import artifact
from jmed_jax.artifact import Artifact
from jmed_jax.errors import InputError
from jmed_jax.jsonl import open_text, read_lines
from jmed_jax.progress import track
from jmed_jax.tokenizer.clean import clean
from jmed_jax.tokenizer.core import USER_DICTIONARY_FILE
from jmed_jax.tokenizer.morphology import open_tagger
from jmed_jax.tokenizer.term_conflicts import Claims, Problem
from jmed_jax.tokenizer.term_lists import RELIABILITY_LEVELS, ListEntry, find_lists, read_list

TERMS_FILE = "terms.tsv"
CONFLICTS_FILE = "conflicts.tsv"
TERM_COLUMNS = ("term", "source", "kind", "reading")

# A term costs what ipadic's own words for it cost together, less this for each boundary between them that it saves.
# So a term is always cheaper than any chain of shorter terms, and a longer word of ordinary language that overlaps one
# of its ends still wins. Measured by `jmed dictionary check` with 4,000 terms of each kind in five sentences each, and
# on 2.0 M characters of laws, Wikipedia and novels (1.24 M words) for boundaries that ipadic alone does not set:
#                      whole: disease   drug     term     split
#   名詞,固有名詞 2,000    99.49 %   99.89 %  99.54 %      36
#   名詞,一般    1,000     99.51 %   99.85 %  99.56 %      33
#   名詞,一般    2,000     99.93 %   99.92 %  99.82 %      34
#   名詞,一般    3,000     99.97 %   99.93 %  99.93 %      50
#   名詞,サ変接続 2,000    96.45 %   99.88 %  99.68 %      16
#   ipadic alone           1.5 %    51.0 %   13.4 %       0
# As a common noun a term connects cheaply to 性, 症, 後 and 疑い, as the words inside it do; as a proper noun it pays
# for them and loses to its own parts. As a noun that する follows (サ変接続) it loses before 症.
MARGIN = 2000
LARGEST_COST = 32_767
# The published lists together need four rounds of making terms cheaper than shorter terms within them.
MOST_ROUNDS = 8

# ipadic's number of this part of speech in its table of connection costs.
CONTEXT, PART_OF_SPEECH = 1285, "名詞,一般,*,*"

SHORTEST_TERM, LONGEST_TERM = 2, 40
# Glossaries hold ordinary words beside the names: 第一, 大きさ, 第2. Three characters would let in 人類学 and 所長, and
# ordinary text would get 255 new boundaries instead of 34.
SHORTEST_GENERAL_TERM = 4
_ORDINARY = re.compile("[ぁ-ゖ0-9]")


@dataclass(frozen=True)
class Term:
    """A name as it is in text, the list it came from, "disease", "drug" or "term", and its katakana reading or ""."""

    text: str
    source: str
    kind: str
    reading: str = ""


def build_dictionary(
    sources: Sequence[Path],
    out: Path,
    *,
    reliability: str = "E",
    encoding: str | None = None,
    overwrite: bool = False,
) -> Artifact:
    """Compile term lists into a "dictionary" artefact: `terms.tsv`, `user.dic` and `conflicts.tsv`.

    Args:
        sources: term lists, or directories, of which every recognised list is read.
        out: the artefact's directory.
        reliability: the last level of MANBYO that is taken, from S, A, B, C, D, E, F; lists without levels count whole.
        encoding: of lists that are not UTF-8.

    Raises:
        InputError: a list is missing or not recognised, no term is left, or `out` exists.
    """
    artifact.check_free(out, overwrite)
    if reliability not in RELIABILITY_LEVELS:
        raise InputError(f"reliability {reliability!r}: MANBYO's levels are {', '.join(RELIABILITY_LEVELS)}.")
    files = find_lists(sources, encoding=encoding)
    terms, claims = _read_terms(files, reliability, encoding)
    if not terms:
        reasons = Counter(problem.problem for problem in claims.problems())
        counted = ", ".join(f"{reason} ({count:,})" for reason, count in reasons.most_common())
        raise InputError(f"{', '.join(map(str, sources))}: no usable term: {counted or 'the lists are empty'}.")
    config = {
        "morphology": "ipadic",
        "margin": MARGIN,
        "reliability": reliability,
        "sources": [path.name for path in files],
    }
    with artifact.create(out, "dictionary", config, overwrite=overwrite) as draft:
        entries, known = _compile_terms(terms, draft.path / USER_DICTIONARY_FILE)
        problems = [*claims.problems(), *(Problem(t.text, "already a word of ipadic", t.source) for t in known)]
        _write_table(TERM_COLUMNS, ((t.text, t.source, t.kind, t.reading) for t in terms), draft.path / TERMS_FILE)
        _write_table(("surface", "problem", "detail"), problems, draft.path / CONFLICTS_FILE)
        draft.inputs.update({path.name: artifact.file_sha256(path) for path in files})
        draft.counts.update(
            terms=len(terms),
            words=entries,
            with_reading=sum(bool(term.reading) for term in terms),
            kinds=_counted(term.kind for term in terms),
            problems=_counted(problem.problem for problem in problems),
        )
    return artifact.open_artifact(out, "dictionary")


def read_terms(dictionary: Path) -> list[Term]:
    """The terms of a "dictionary" artefact.

    Raises:
        InputError: `dictionary` is none.
    """
    artifact.open_artifact(dictionary, "dictionary")
    rows = (line.split("\t") for _, line in read_lines(dictionary / TERMS_FILE))
    next(rows)
    return [Term(*row) for row in rows]


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _read_terms(files: Sequence[Path], reliability: str, encoding: str | None) -> tuple[list[Term], Claims]:
    """Every usable term once, under the first list that has it, and what the lists say of it."""
    taken = RELIABILITY_LEVELS[: RELIABILITY_LEVELS.index(reliability) + 1]
    terms: dict[str, Term] = {}
    claims = Claims()
    for path in files:
        for entry in track(read_list(path, encoding=encoding), f"Reading {path.name}", unit="entries"):
            if entry.uncoded or (entry.reliability and entry.reliability not in taken):
                reason = "MANBYO has no code" if entry.uncoded else f"MANBYO's level is below {reliability}"
                claims.drop(clean(entry.name), reason, path.name)
                continue
            for term in _terms_of(entry, path.name):
                if (unusable := reason_to_drop(term.text, term.kind)) is not None:
                    claims.drop(term.text, unusable, path.name)
                    continue
                claims.add(term.text, entry, path.name)
                known = terms.setdefault(term.text, term)
                if term.reading and not known.reading:
                    terms[term.text] = Term(known.text, known.source, known.kind, term.reading)
    return list(terms.values()), claims


_KATAKANA_NAME = re.compile("[ァ-ヺー・]+")
# 脊髄性筋萎縮症 III 型: records write it without spaces, and MeCab ends a word at each.
_SPACE_IN_JAPANESE = re.compile("(?<=[ぁ-ヿ一-鿿]) | (?=[ぁ-ヿ一-鿿])")
_REMARK_AT_END = re.compile(r"(?<=.)\([^()]*\)$")


def _terms_of(entry: ListEntry, source: str) -> Iterable[Term]:
    for name in dict.fromkeys((entry.name, *entry.synonyms, *entry.standard_names)):
        text = _SPACE_IN_JAPANESE.sub("", _REMARK_AT_END.sub("", clean(name)).strip())
        reading = entry.reading if name == entry.name else ""
        if _KATAKANA_NAME.fullmatch(text):
            reading = text
        yield Term(text, source, entry.kind, reading)


# --- which terms ------------------------------------------------------------------------------------------------------

# No comma, quote or space, which MeCab's CSV would need escaped; no brackets, which belong to the sentence.
_TERM = re.compile(r"[\w・\-'/+〜]+")
_NO_NAME = re.compile(r"[\W\d_]+|[ -~]{1,3}|[ぁ-ゖー]{1,3}|[ァ-ヺー・]{1,3}")
# Classifications have headings beside names: その他の…, …，詳細不明.
_HEADING = re.compile("その他|分類され|詳細不明|部位不明|及び|または|又は|ならびに")


def reason_to_drop(term: str, kind: str) -> str | None:
    """Why a cleaned term cannot stand in the dictionary, or None if it can without breaking ordinary words."""
    if len(term) < SHORTEST_TERM:
        return "too short"
    if len(term) > LONGEST_TERM:
        return "too long"
    if _TERM.fullmatch(term) is None:
        return "spaces, brackets or marks"
    if _NO_NAME.fullmatch(term) is not None:
        return "digits, or few letters or kana"
    if _HEADING.search(term):
        return "heading of a classification"
    if kind == "term" and (len(term) < SHORTEST_GENERAL_TERM or _ORDINARY.search(term)):
        return "ordinary word of a glossary"
    return None


# --- at what cost -----------------------------------------------------------------------------------------------------


def _compile_terms(terms: Sequence[Term], out: Path) -> tuple[int, list[Term]]:
    """Write the compiled dictionary; return how many entries it has, and the terms that ipadic has without one.

    A term gets an entry where ipadic does not know it as one word. Katakana that it only guesses gets one too, for it
    guesses whole runs. What is then still broken, by shorter terms with entries, costs less than these together; as
    it may be a part of a longer term itself, that goes on until nothing is broken.
    """
    entries = {word.term: word.cost - MARGIN * (word.parts - 1) for word in _split(terms) if not word.known}
    _compile(entries, out)
    for _ in range(MOST_ROUNDS):
        broken = {word.term: word.cost - MARGIN for word in _split(terms, out) if word.parts > 1}
        if not broken:
            break
        entries |= broken
        _compile(entries, out)
    return len(entries), [term for term in terms if term not in entries and not term.text.isascii()]


class _Split(NamedTuple):
    """How MeCab splits a term by itself: into how many parts, at what cost, and whether it is a word that it knows."""

    term: Term
    parts: int
    cost: int
    known: bool


def _split(terms: Sequence[Term], user_dictionary: Path | None = None) -> Iterator[_Split]:
    # Of each word: whether it is known (0) or guessed (1); at the end the cost of the path.
    tagger = open_tagger("%s", "\\t%pc", user_dictionary)
    for term in track(terms, "Weighing terms", unit="terms"):
        parts, _, cost = tagger.parse(term.text).partition("\t")
        # MeCab guesses a run of letters whole everywhere, so that a name of letters needs no entry.
        yield _Split(term, len(parts), int(cost), parts == "0" or (parts == "1" and term.text.isascii()))


# --- writing ----------------------------------------------------------------------------------------------------------


def _write_table(header: Sequence[str], rows: Iterable[Sequence[str]], path: Path) -> None:
    with open_text(path, "w") as stream:
        stream.write("\t".join(header) + "\n")
        stream.writelines("\t".join(row) + "\n" for row in rows)


# MeCab's compiler prints to standard output and ends the process when it fails: it gets a process of its own.
_COMPILE = "import sys, fugashi; fugashi.build_dictionary(sys.argv[1])"


def _compile(entries: Mapping[Term, int], out: Path) -> None:
    import ipadic

    with tempfile.TemporaryDirectory() as directory:
        rows, compiled = Path(directory) / "terms.csv", Path(directory) / "user.dic"
        with rows.open("w", encoding="utf-8", newline="\n") as stream:
            for term, cost in entries.items():
                cost = max(-LARGEST_COST, min(LARGEST_COST, cost))
                reading = term.reading or "*"
                columns = (term.text, CONTEXT, CONTEXT, cost, PART_OF_SPEECH, "*,*", term.text, reading, reading)
                stream.write(",".join(map(str, columns)) + "\n")
        command = f'mecab-dict-index -d "{ipadic.DICDIR}" -u "{compiled}" -f utf8 -t utf8 "{rows}"'
        result = subprocess.run([sys.executable, "-c", _COMPILE, command], capture_output=True, text=True, check=False)
        if result.returncode != 0 or not compiled.is_file():
            raise RuntimeError(f"mecab-dict-index failed: {result.stderr or result.stdout}")
        out.write_bytes(compiled.read_bytes())
