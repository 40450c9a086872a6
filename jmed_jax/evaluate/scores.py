"""JMED-LLM's scores, as its own evaluator computes them, and the corrected reading beside them.

Pure functions over strings. A model's output is read as a literal and never run.
"""

import ast
import re
import warnings
from collections.abc import Collection, Sequence

CHOICE_LETTERS = "ABCDEF"
NO_CHOICE = "None"

# The benchmark lets a model write 512 tokens. Anything this long is a runaway, and is not given to the parser.
LONGEST_LIST_CHARACTERS = 20_000

# Not behind an odd number of backslashes, where it is text.
_ESCAPED_SPACE = re.compile(r"(?<!\\)((?:\\\\)*)\\u3000")


def parse_choice(output: str) -> str:
    """The first of the letters A–F that occurs anywhere in `output`, else "None".

    This is the benchmark's reading, quirks included: "Answer: B" is A (its first letter), "ａ" and "b" are no choice.
    """
    return next((character for character in output if character in CHOICE_LETTERS), NO_CHOICE)


def parse_string_list(output: str) -> tuple[str, ...] | None:
    """`output` as a Python list literal of strings; None for everything else, which then scores as the empty list.

    The benchmark's evaluator runs `eval` here. A literal is all that an honest answer needs, so code, nested lists,
    numbers, and anything longer than 20,000 characters are simply not lists of strings.
    """
    if len(output) > LONGEST_LIST_CHARACTERS:
        return None
    try:
        with warnings.catch_warnings():
            # A backslash in a model's string ("\d") is not worth a SyntaxWarning on the user's terminal.
            warnings.simplefilter("ignore")
            value = ast.literal_eval(output.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return None
    return tuple(value)


def print_list(strings: Sequence[str]) -> str:
    """What `parse_string_list` reads: as Python prints it, but with a full-width space as it is in the text.

    Python escapes it, and a model that copies from a report finds no `\\u3000` there.
    """
    return _ESCAPED_SPACE.sub("\\1\u3000", str(list(strings)))


def exact_f1(gold: Collection[str], predicted: Collection[str]) -> float:
    """F1 over the two sets of strings, in [0, 1].

    An empty prediction scores 0. So does an empty gold set, even against an empty prediction: the benchmark's
    evaluator divides by its size and has no such row, and 0 is the rule it states for the other empty side.
    """
    gold_set, predicted_set = set(gold), set(predicted)
    return _f1(len(gold_set & predicted_set), len(gold_set), len(gold_set & predicted_set), len(predicted_set))


def partial_f1(gold: Collection[str], predicted: Collection[str]) -> float:
    """The benchmark's partial-match F1, which every published figure uses. It can exceed 1.

    A gold string counts when any predicted string is a gold string, or it is itself predicted. So one correct
    prediction makes every gold string count, in the recall and in the precision alike: three gold strings and one
    correct prediction give recall 3/3, precision 3/1, F1 1.5. Empty sets as in `exact_f1`.
    """
    gold_set, predicted_set = set(gold), set(predicted)
    counted = sum(any(g in predicted_set or p in gold_set for p in predicted_set) for g in gold_set)
    return _f1(counted, len(gold_set), counted, len(predicted_set))


def overlap_f1(gold: Collection[str], predicted: Collection[str]) -> float:
    """Partial match as one would expect it: strings match when one contains the other. In [0, 1].

    Recall is the share of gold strings that match a predicted one, precision the share of predicted strings that match
    a gold one. The empty string matches nothing. Nothing to find and nothing found is 1.
    """
    gold_set, predicted_set = set(gold), set(predicted)
    if not gold_set and not predicted_set:
        return 1.0
    found = sum(any(_overlap(g, p) for p in predicted_set) for g in gold_set)
    right = sum(any(_overlap(g, p) for g in gold_set) for p in predicted_set)
    return _f1(found, len(gold_set), right, len(predicted_set))


def _overlap(one: str, other: str) -> bool:
    return bool(one) and bool(other) and (one in other or other in one)


def _f1(found: int, gold_count: int, right: int, predicted_count: int) -> float:
    recall = found / gold_count if gold_count else 0.0
    precision = right / predicted_count if predicted_count else 0.0
    return 2 * recall * precision / (recall + precision) if recall + precision else 0.0
