from pathlib import Path

import matplotlib
import pytest
from matplotlib.font_manager import FontEntry

from jmed_jax.page import fonts
from jmed_jax.page.fonts import LATIN, fonts_for

BUNDLED = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def entries(monkeypatch: pytest.MonkeyPatch, *found: FontEntry) -> None:
    monkeypatch.setattr(fonts, "_candidates", lambda: list(found))


def test_latin_needs_no_other_font() -> None:
    assert fonts_for(["HbA1c 6.5 %\n", "β\x07"]) == ([LATIN], frozenset())


def test_characters_that_no_font_has_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    entries(monkeypatch, FontEntry(str(BUNDLED / "DejaVuSerif.ttf"), name="DejaVu Serif"))
    found = fonts_for(["胃癌", "A"])
    assert found.families == [LATIN]
    assert found.missing == {"胃", "癌"}
    assert not found.can_draw("A癌")
    assert found.can_draw("A")


def test_the_font_that_draws_boxes_for_everything_is_none() -> None:
    # It comes with matplotlib, and its table names every character.
    assert not any(entry.name.startswith("Last Resort") for entry in fonts._candidates())


def test_japanese_forms_come_before_others_with_the_same_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["Noto Sans CJK SC", "Noto Serif CJK JP", "Noto Sans CJK JP", "Noto Sans CJK HK"]
    entries(monkeypatch, *(FontEntry(name, name=name) for name in names))
    characters = {str(fonts._entry(LATIN).fname): frozenset("A")}
    monkeypatch.setattr(fonts, "_characters", lambda file: characters.get(str(file), frozenset("胃癌")))
    assert fonts_for(["胃癌A"]) == ([LATIN, "Noto Sans CJK JP"], frozenset())


def test_what_one_font_lacks_another_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    entries(monkeypatch, *(FontEntry(name, name=name) for name in ("Two", "One")))
    characters = {"One": frozenset("胃"), "Two": frozenset("癌鱗")}
    monkeypatch.setattr(fonts, "_characters", lambda file: characters.get(str(file), frozenset("A")))
    assert fonts_for(["胃癌鱗屑A"]) == ([LATIN, "Two", "One"], frozenset("屑"))
