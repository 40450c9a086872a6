"""What `tools/readme_tables.py` makes its tables of: the newest result of a script, and its figures in print."""

import json
from collections.abc import Mapping
from typing import Any

from timing import RESULTS


class NotMeasuredError(Exception):
    """No script has saved a result of this name yet."""


def newest(name: str) -> dict[str, Any]:
    """The last result that a script saved under this name.

    Raises:
        NotMeasuredError: there is none.
    """
    # NAME-2026-11-25.json; another name may begin with this one.
    files = sorted(RESULTS.glob(f"{name}-????-??-??.json"))
    if not files:
        raise NotMeasuredError(name)
    result: dict[str, Any] = json.loads(files[-1].read_text(encoding="utf-8"))
    return result


def case_of(result: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A case of a benchmark that has several."""
    found: Mapping[str, Any] = next(case for case in result["cases"] if case["case"] == name)
    return found


def figure(value: float, sign: str = "") -> str:
    """A score with two digits, without the zero, as the papers' tables have it; a minus as wide as a digit.

    Args:
        sign: "+" to write it before positive values, too.
    """
    # Adding 0 makes a zero of −0.
    return f"{round(value, 2) + 0:{sign}.2f}".replace("0.", ".", 1).replace("-", "−")
