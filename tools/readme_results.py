"""What `tools/readme_tables.py` makes its tables of: the newest result of a script."""

import json
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
