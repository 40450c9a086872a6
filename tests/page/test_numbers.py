import pytest

from jmed_jax.page.numbers import change, format_bytes, percent, short_count


def test_short_counts() -> None:
    values = (0, 950, 999.7, 245_760, 999_700, 3.9e6, 5e10, 2e12)
    assert [short_count(value) for value in values] == ["0", "950", "1 k", "246 k", "1 M", "3.9 M", "50 B", "2 T"]


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (0, 0, "–"),
        (0, 7, "0 %"),
        (1, 10_000, "< 0.1 %"),
        (4, 1000, "0.4 %"),
        (996, 10_000, "10 %"),
        (37, 100, "37 %"),
        (9_999_999, 10_000_000, "99.9 %"),
        (7, 7, "100 %"),
    ],
)
def test_shares_never_round_to_nothing_or_to_all(part: int, whole: int, shown: str) -> None:
    assert percent(part, whole) == shown


def test_changes_have_a_sign() -> None:
    assert [change(1000, after) for after in (952, 1004, 1000, 1000.1)] == ["−4.8 %", "+0.4 %", "0 %", "< 0.1 %"]
    assert change(0, 0) == "–"


def test_bytes() -> None:
    assert [format_bytes(size) for size in (12, 3_140_000, 999_999, 3.3e10)] == ["12 bytes", "3.14 MB", "1 MB", "33 GB"]
