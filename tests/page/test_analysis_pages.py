"""The pages and pictures of `jmed analyze`."""

import base64
import json
import re
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from jmed_jax.errors import InputError
from jmed_jax.page import fonts
from jmed_jax.page.analysis_attention import LEAST, STEPS, AttentionPage, ShareRow, packed, write_attention_page
from jmed_jax.page.analysis_attention_chart import draw_attention, largest_of_squares
from jmed_jax.page.analysis_embeddings import EXTENT, Colouring, EmbeddingMap, scaled, write_embedding_page
from jmed_jax.page.analysis_embeddings_chart import draw_embedding_map
from jmed_jax.page.analysis_losses import RunCurve, write_losses
from jmed_jax.page.fonts import LATIN, Fonts
from tests.page.outline import ATTACK, Outline
from tests.page.pages import metrics_rows

FONTS = Fonts([LATIN], frozenset("胃癌がん肺炎"))
LATIN_TEXTS = ["CT", " HbA1c", "$x^2", "MRI", "a_b", "{"]


def data_of(html: str) -> Any:
    """The page's data block."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found
    return json.loads(found[1])


def check_page(html: str, *, scripts: int) -> None:
    """Balanced, nothing from anywhere, no script but the page's own."""
    outline = Outline(html)
    assert outline.faults == []
    assert outline.tags.count("script") == scripts
    assert "img" not in outline.tags
    assert not [name for name, _ in outline.attributes if name.startswith("on")]
    assert not [
        value for name, value in outline.attributes if name in ("href", "src") and not (value or "").startswith("#")
    ]
    assert "http://" not in html and "https://" not in html
    policy = next(value for _, value in outline.attributes if value and value.startswith("default-src"))
    assert ("script-src 'sha256-" in policy) == bool(scripts)
    ids = [value for name, value in outline.attributes if name == "id"]
    assert len(ids) == len(set(ids))


# --- embeddings ---


def small_map(texts: list[str]) -> EmbeddingMap:
    count = len(texts)
    generator = np.random.default_rng(0)
    return EmbeddingMap(
        model="tiny",
        unit="token",
        texts=texts,
        ids=list(range(count)),
        counts=None,
        nearest=np.array([[(place + 1) % count, (place + 2) % count] for place in range(count)]),
        places={"t-SNE": generator.normal(size=(count, 2)), "UMAP": generator.normal(size=(count, 2))},
        colourings=[
            Colouring("Dictionary", ["disease", "not in it"], [place % 2 for place in range(count)]),
            Colouring("Writing", ["kanji", "latin"], [1] * count),
        ],
        facts=[("Shown", "some")],
    )


def test_the_map_holds_every_token_and_both_methods(tmp_path: Path) -> None:
    texts = ["胃癌", "がん", " cancer", "肺炎"]
    write_embedding_page(tmp_path / "index.html", small_map(texts))
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    check_page(html, scripts=2)
    data = data_of(html)
    assert data["texts"] == texts
    assert list(data["maps"]) == ["t-SNE", "UMAP"]
    assert [len(places) for places in data["maps"].values()] == [8, 8]
    assert data["nearest"][3] == [0, 1]
    assert [colouring["of"] for colouring in data["colourings"]] == [[0, 1, 0, 1], [1, 1, 1, 1]]
    assert "disease 2" in Outline(html).text


def test_tokens_are_text_whatever_they_are(tmp_path: Path) -> None:
    hostile = "</script><script>alert(1)</script>"
    shown = replace(small_map([ATTACK, hostile, "<!--", "\u2028"]), model=ATTACK, facts=[(ATTACK, ATTACK)])
    write_embedding_page(tmp_path / "index.html", shown)
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    check_page(html, scripts=2)
    assert data_of(html)["texts"][:2] == [ATTACK, hostile]


def test_places_keep_their_proportions() -> None:
    places_C2 = scaled(np.array([[-3.0, 1.0], [7.0, 2.0], [2.0, 6.0]]))
    np.testing.assert_array_equal(places_C2, [[0, EXTENT // 4], [EXTENT, 0.35 * EXTENT], [EXTENT // 2, 0.75 * EXTENT]])
    assert scaled(np.zeros((2, 2))).tolist() == [[EXTENT // 2] * 2] * 2


def test_pictures_label_only_what_the_fonts_have(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    draw_embedding_map(small_map([*LATIN_TEXTS, "胃癌", "肺炎"]), "t-SNE", FONTS, tmp_path / "map.png")
    assert imread(tmp_path / "map.png").shape[0] > 500
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


# --- attention ---


def small_attention() -> AttentionPage:
    weights_TS = np.tril(np.random.default_rng(0).random((6, 6))).astype(np.float32)
    weights_TS /= weights_TS.sum(axis=1, keepdims=True)
    return AttentionPage(
        model="tiny",
        labels=["A", "B", "<|end_of_text|>", "C", ATTACK, "<|end_of_text|>"],
        segment_ids=np.array([1, 1, 1, 2, 2, 2]),
        ends=[2, 5],
        end_label="<|end_of_text|>",
        maps={"layer 1": weights_TS, "layer 2": weights_TS.copy()},
        shares=[ShareRow(1, 0.43, 0.0012, 0.00001), ShareRow(2, 0.0, 0.0, 0.02)],
        even=0.55,
        facts=[("Row", ATTACK)],
    )


def test_the_row_is_on_the_page_with_its_borders_and_shares(tmp_path: Path) -> None:
    write_attention_page(tmp_path / "index.html", small_attention())
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    check_page(html, scripts=2)
    data = data_of(html)
    assert (data["starts"], data["ends"]) == ([0, 3], [2, 5])
    assert data["labels"][4] == ATTACK
    text = Outline(html).text
    assert "43.0 %" in text and "0.12 %" in text and "< 0.01 %" in text and "55.0 %" in text
    one = replace(small_attention(), segment_ids=np.ones(6, int), shares=[])
    write_attention_page(tmp_path / "index.html", one)
    assert "one document, so there is none" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_weights_are_packed_in_equal_ratios() -> None:
    weights_TS = np.array([[1.0, LEAST], [LEAST / 3, 0.031]], np.float32)
    levels_TS = np.frombuffer(zlib.decompress(base64.b64decode(packed(weights_TS))), np.uint8).reshape(2, 2)
    assert levels_TS[0].tolist() == [STEPS + 1, 1]
    assert levels_TS[1, 0] == 0
    # As the page's script reads it.
    assert LEAST ** (1 - (int(levels_TS[1, 1]) - 1) / STEPS) == pytest.approx(0.031, rel=0.023)


def test_large_rows_are_drawn_by_the_largest_of_each_square() -> None:
    weights_TS = np.zeros((7, 7))
    weights_TS[6, 0], weights_TS[3, 2] = 0.9, 0.4
    cells = largest_of_squares(weights_TS, 4)
    assert cells.shape == (4, 4)
    assert (cells[3, 0], cells[1, 1], cells.sum()) == (0.9, 0.4, pytest.approx(1.3))
    np.testing.assert_array_equal(largest_of_squares(weights_TS, 7), weights_TS)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("count", "ends"), [(1, []), (4, [2, 5])])
def test_a_panel_a_map(count: int, ends: list[int], tmp_path: Path) -> None:
    page = replace(small_attention(), ends=ends)
    maps = {f"layer {number}": page.maps["layer 1"] for number in range(count)}
    draw_attention(replace(page, maps=maps), FONTS, tmp_path / "attention.png")
    assert imread(tmp_path / "attention.png").shape[0] > 500 * (1 + (count > 3))


# --- losses ---


def run_rows(steps: int) -> list[dict[str, Any]]:
    return [row | {"lr": 1e-3, "skipped": 2} for row in metrics_rows(steps)]


VALIDATION = [{"step": 20, "tokens": 40960, "loss": 3.3, "bits_per_byte": 1.29, "targets": 9.0, "rows": 4}]


def test_runs_stand_on_one_picture(tmp_path: Path) -> None:
    runs = [RunCurve.of("first", run_rows(120), VALIDATION), RunCurve.of(ATTACK, run_rows(30), [])]
    write_losses(tmp_path / "loss.html", runs)
    html = (tmp_path / "loss.html").read_text(encoding="utf-8")
    check_page(html, scripts=0)
    outline = Outline(html)
    assert outline.tags.count("svg") == 2
    assert "#05050" not in html
    assert "246 k" in outline.text and "3.300" in outline.text and "1.290" in outline.text
    for name in ("loss.svg", "loss.png"):
        write_losses(tmp_path / name, runs)
        assert (tmp_path / name).stat().st_size > 5000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["loss.html", "loss.png", "loss.svg"]


def test_the_same_runs_give_the_same_bytes(tmp_path: Path) -> None:
    runs = [RunCurve.of("first", run_rows(12), [])]
    for name in ("a.svg", "b.svg", "a.png", "b.png"):
        write_losses(tmp_path / name, runs)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_nothing_to_draw_and_nowhere_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="empty: no finished step"):
        RunCurve.of("empty", [{"step": 1, "loss": None, "tokens": 9}], [])
    monkeypatch.setattr(fonts, "_candidates", list)
    with pytest.raises(InputError, match=r"fonts-noto-cjk.* or write \.html"):
        write_losses(tmp_path / "loss.png", [RunCurve.of("事前学習", run_rows(3), [])])
    with pytest.raises(InputError, match=r"\.html, \.svg, \.png"):
        write_losses(tmp_path / "loss.pdf", [RunCurve.of("first", run_rows(3), [])])
