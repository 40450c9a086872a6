import unicodedata

import pytest

from jmed_jax.cli.streams import print_table


def test_columns_stand_below_each_other_in_japanese_too(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("text", "cosine"), [("胃癌", 0.5), ("cancer", 0.25)])
    lines = capsys.readouterr().out.splitlines()
    widths = [sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line) for line in lines]
    assert lines[1] == "胃癌    0.5000"
    assert len(set(widths)) == 1
