"""Pages with a script of their own: its permission, and data for it that nobody's text can break out of."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from markupsafe import Markup

# `</script` and `<!--` end or change a block; the two separators end a line in JavaScript.
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def script(name: str) -> Markup:
    """What stands in a `.js.j2` file beside this one, for between the tags; it takes no values."""
    code = Path(__file__).with_name(name).read_text(encoding="utf-8").strip()
    assert "</" not in code, f"{name}: this ends the element"
    return Markup(code)


def policy(code: str) -> str:
    """A Content-Security-Policy under which this script runs and no other, whatever else gets onto the page.

    Args:
        code: exactly what stands between the tags.
    """
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def embed_json(value: Any) -> Markup:
    """JSON for `<script type="application/json">`: no character of a string can end the block."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return Markup(text)
