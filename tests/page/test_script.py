import base64
import hashlib
import json
from pathlib import Path

from jmed_jax.page.script import embed_json, policy, script
from tests.page.outline import ATTACK, Outline

PAGE = Path(__file__).resolve().parents[2] / "jmed_jax" / "page"


def test_no_string_ends_the_block() -> None:
    hostile = {"a": "</script><script>alert(1)</script>", "b": ["<!--", "]]>", ATTACK, "\u2028"]}
    block = embed_json(hostile)
    assert not set("<>&\u2028\u2029") & set(block)
    outline = Outline(f'<script type="application/json">{block}</script>')
    assert (outline.tags, outline.faults) == (["script"], [])
    assert json.loads(block) == hostile


def test_japanese_stays_readable() -> None:
    assert embed_json("禁忌肢") == '"禁忌肢"'


def test_only_the_script_itself_is_allowed() -> None:
    digest = base64.b64encode(hashlib.sha256(b"alert(1)").digest()).decode()
    assert policy("alert(1)") == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def test_scripts_stand_in_files_and_touch_no_markup() -> None:
    for path in PAGE.glob("*.js.j2"):
        code = script(path.name)
        assert code and "innerHTML" not in code and "insertAdjacentHTML" not in code and "eval(" not in code
