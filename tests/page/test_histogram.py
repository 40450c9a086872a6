from itertools import pairwise

import pytest

from jmed_jax.page.histogram import Histogram, length_histogram, measure_histogram, number

EDGES = (10, 20, 50)


def dropped(histogram: Histogram) -> tuple[float, float]:
    assert histogram.dropped
    return histogram.dropped.start, histogram.dropped.end


def test_every_bin_has_a_bar_with_its_range_and_count() -> None:
    histogram = measure_histogram({0: 1, 2: 4}, EDGES, 20, "at least")
    assert [bar.label for bar in histogram.bars] == [
        "below 10: 1 documents",
        "10 to 20: 0 documents",
        "20 to 50: 4 documents",
        "50 and more: 0 documents",
    ]
    assert [bar.height for bar in histogram.bars] == [25, 0, 100, 0]
    assert histogram.documents == 5


@pytest.mark.parametrize(("threshold", "position"), [(10, 25), (20, 50), (35, 62.5), (50, 75), (5, 12.5), (1000, 87.5)])
def test_the_threshold_stands_among_the_edges(threshold: float, position: float) -> None:
    assert dropped(measure_histogram({}, EDGES, threshold, "at least")) == (0, position)
    assert dropped(measure_histogram({}, EDGES, threshold, "at most")) == (position, 100)


@pytest.mark.parametrize(("threshold", "start"), [(0, 25), (1, 50), (2, 75), (3, 87.5)])
def test_a_count_at_the_threshold_is_kept(threshold: int, start: float) -> None:
    assert dropped(measure_histogram({}, (1, 2, 3), threshold, "at most")) == (start, 100)


def test_counts_are_named_one_by_one() -> None:
    histogram = measure_histogram({}, (1, 2, 3), 1, "at most")
    assert [bar.label.partition(":")[0] for bar in histogram.bars] == ["below 1", "1", "2", "3 and more"]
    assert [(tick.position, tick.label, tick.limit) for tick in histogram.ticks] == [
        (12.5, "< 1", False),
        (37.5, "1", True),
        (62.5, "2", False),
        (87.5, "≥ 3", False),
    ]


def test_the_threshold_is_labelled_and_nothing_stands_in_its_way() -> None:
    edges = [edge / 20 for edge in range(1, 20)]
    ticks = measure_histogram({}, edges, 0.3, "at most").ticks
    assert [tick.label for tick in ticks if tick.limit] == ["0.3"]
    positions = sorted(tick.position for tick in ticks)
    assert len(positions) >= 4
    assert min(right - left for left, right in pairwise(positions)) >= 10


def test_one_edge_is_enough() -> None:
    histogram = measure_histogram({0: 2, 1: 6}, (0.5,), 0.5, "at least")
    assert dropped(histogram) == (0, 50)
    assert [tick.label for tick in histogram.ticks] == ["0.5"]


def test_lengths_of_all_sources_share_one_axis() -> None:
    histogram = length_histogram({64: 3, 256: 6}, 32, 512)
    assert [bar.height for bar in histogram.bars] == [0, 50, 0, 100, 0]
    assert histogram.bars[1].label == "64 to 127: 3 documents"
    assert histogram.dropped is None


def test_numbers_are_written_as_people_write_them() -> None:
    values = (0.25, 30, 30.0, 16384, 1e-4, 0.05)
    assert [number(value) for value in values] == ["0.25", "30", "30", "16,384", "0.0001", "0.05"]
