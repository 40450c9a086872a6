"""When two names are written alike, and what of a name is its core."""

import re
from functools import lru_cache

from jmed_jax.tokenizer.clean import clean
from jmed_jax.tokenizer.drug_names import without_salt

# Every name of the lists is looked at again for every topic.
CACHED = 1 << 18

# Two ways of writing one word; none of them changes the meaning.
_SPELLINGS = (
    ("頸", "頚"),
    ("癌", "がん"),
    ("ガン", "がん"),
    ("ウィ", "ウイ"),
    ("嚢", "のう"),
    ("蛋白", "たんぱく"),
    ("腟", "膣"),
    ("弯", "彎"),
    ("攣", "れん"),
    ("疹", "しん"),
    ("鬱", "うつ"),
)
_BRACKETS = re.compile(r"[(\[〔][^)\]〕]*[)\]〕]")


@lru_cache(CACHED)
def fold(name: str) -> str:
    """A name without width, spaces and case."""
    return clean(name).replace(" ", "").casefold()


def fold_spelling(name: str) -> str:
    """A name without differences of writing either: 頸部 and 頚部, 肺癌 and 肺がん are one."""
    folded = fold(name)
    for old, new in _SPELLINGS:
        folded = folded.replace(old, new)
    return folded


@lru_cache(CACHED)
def core(ingredient: str) -> str:
    """An ingredient without its salt and what stands in brackets: ドネペジル塩酸塩 → ドネペジル."""
    bare = _BRACKETS.sub("", clean(ingredient)).replace(" ", "")
    return fold(without_salt(bare))


def overlap(one: str, other: str) -> bool:
    """Whether one folded name is part of the other: such names may mean kinds of one thing."""
    return one in other or other in one
