"""How answers of models go wrong (arXiv 2412.16423 §2.1): another language, refusal, repetition, another topic, …"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from datatrove.data import Document

from jmed_jax.corpus.measures import japanese_share, kana_share
from jmed_jax.corpus.repetition import duplicate_ngram_fraction
from jmed_jax.corpus.synthetic.exercises import parse_exercises
from jmed_jax.corpus.synthetic.names import fold_spelling

# A medical text in Japanese has English terms and abbreviations, but not so many; Chinese has no kana.
LEAST_JAPANESE, LEAST_KANA = 0.5, 0.1
# Gopher's threshold for duplicated 10-grams (arXiv 2112.11446, Table A1). Exercises repeat the names of their options.
REPEATED_WORDS, MOST_REPETITION = 10, 0.10
MOST_REPETITION_OF_EXERCISES = 0.30
REFUSAL_IS_WITHIN = 200
"""Characters: an apology stands at the start; later, a text may quote one."""

_CANNOT = "(?:すること)?[はが]?(?:でき|出来)ません|(?:いた|致)?しかねます"
_APOLOGY = re.compile(
    rf"申し訳(?:あり|ござい)ません|お?(?:答え|応え|手伝い)(?:{_CANNOT})|(?:回答|作成)(?:{_CANNOT})|"
    "I['’]?m sorry|I am sorry|I apologi[sz]e|I can['’]t|I can ?not|I['’]m unable|I am unable",
    re.IGNORECASE,
)
# AI is aortic insufficiency too: "AIとして知られる".
_MACHINE = re.compile(
    "(?:AI|人工知能|言語モデル)(?:アシスタント)?(?:として(?!の|知られ|呼ばれ|報告)|ですので|なので|であり)|As an AI",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile("[。!?！？」』）)]$")


@dataclass(frozen=True)
class Failure:
    """Why an answer is of no use: the name that is counted, and what was found."""

    reason: str
    detail: str = ""


def find_failure(text: str, names: Sequence[str], *, least_characters: int, exercises: bool) -> Failure | None:
    """The first thing that is wrong with an answer; None if nothing is.

    Args:
        names: of the topic, in the spelling of `names.fold_spelling`; one of them must occur.
        exercises: the answer should hold exercises; one well-formed one is enough.
    """
    document = Document(text=text, id="")
    apology = _APOLOGY.search(text[:REFUSAL_IS_WITHIN]) or _MACHINE.search(text)
    if apology:
        return Failure("refusal", apology[0])
    if (share := japanese_share(document)) < LEAST_JAPANESE or kana_share(document) < LEAST_KANA:
        return Failure("not Japanese", f"{share:.0%} kana and kanji")
    if len(text) < least_characters:
        return Failure("too short", f"{len(text)} characters")
    repetition = duplicate_ngram_fraction(document, REPEATED_WORDS)
    if repetition > (MOST_REPETITION_OF_EXERCISES if exercises else MOST_REPETITION):
        return Failure("repetition", f"{repetition:.0%} of the characters")
    folded = fold_spelling(text)
    if not any(name in folded for name in names):
        return Failure("off topic", f"none of {', '.join(names)}")
    if exercises:
        well_formed, malformed = parse_exercises(text)
        return None if well_formed else Failure("malformed", malformed[0] if malformed else "no exercise")
    if not _SENTENCE_END.search(text.rstrip()):
        return Failure("truncated", f"ends with {text.rstrip()[-20:]}")
    return None
