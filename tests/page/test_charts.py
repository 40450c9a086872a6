import math

import numpy as np

from jmed_jax.page.charts import MOST_POINTS, finite_rows, loss_chart, smooth
from tests.page.pages import metrics_rows


def test_the_same_rows_give_the_same_characters() -> None:
    charts = {loss_chart(metrics_rows(50), "a", bits_per_byte=True) for _ in range(2)}
    assert len(charts) == 1


def test_colours_come_from_the_style_sheet() -> None:
    svg = loss_chart(metrics_rows(50), "a", bits_per_byte=True)
    assert "var(--accent)" in svg and "var(--point)" in svg
    assert "#0" not in svg
    assert "fill: #ffffff" not in svg


def test_bits_per_byte_are_a_second_axis() -> None:
    assert "bits per byte" in loss_chart(metrics_rows(50), "a", bits_per_byte=True)
    assert "bits per byte" not in loss_chart(metrics_rows(50), "a", bits_per_byte=False)


def test_one_step_is_enough() -> None:
    assert loss_chart(metrics_rows(1), "a", bits_per_byte=True).startswith("<svg ")


def test_a_long_run_stays_small() -> None:
    svg = loss_chart(metrics_rows(20_000), "a", bits_per_byte=False)
    assert svg.count("<use ") < MOST_POINTS + 50
    assert len(svg) < 400_000


def test_steps_without_a_finite_loss_are_left_out() -> None:
    rows = metrics_rows(5)
    rows[2]["loss"] = math.nan
    assert [row["step"] for row in finite_rows(rows)] == [1, 2, 4, 5]


def test_the_line_weighs_steps_by_their_targets() -> None:
    rows = [{"loss": float(step % 2), "targets": 3 if step % 2 else 1} for step in range(80)]
    np.testing.assert_allclose(smooth(rows)[5:-5], 0.75, atol=0.1)
    np.testing.assert_allclose(smooth([{"loss": 2.0, "targets": 7}] * 80), 2.0)
