from pathlib import Path

import pytest

from jmed_jax.errors import InputError
from jmed_jax.quickstart import RECIPES, quickstart
from jmed_jax.quickstart.stages import Stages


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_folder_without_the_layout_is_refused_before_anything_is_written(tmp_path: Path, recipe: str) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(InputError, match=r"no pretrain/ in it.*jmed data sample"):
        quickstart(tmp_path / "data", tmp_path / "out", recipe=recipe)
    assert not (tmp_path / "out").exists()


def test_an_unknown_recipe_is_refused_with_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'no recipe "soup"\. There are: slm, jmedllm'):
        quickstart(None, tmp_path / "out", recipe="soup")
    assert not (tmp_path / "out").exists()


def test_overwrite_never_deletes_what_no_quickstart_wrote(tmp_path: Path) -> None:
    thesis = tmp_path / "home" / "thesis.docx"
    thesis.parent.mkdir()
    thesis.touch()
    with pytest.raises(InputError, match="not made by jmed"):
        quickstart(None, tmp_path / "home", overwrite=True)
    assert thesis.exists()


def test_the_summary_adds_up_what_the_stages_took() -> None:
    stages = Stages()
    assert stages.run("one", lambda: 3, lambda made: (f"{made} things", "of a kind")) == 3
    stages.run("two", lambda: sum(range(200_000)), lambda _: ("", ""))
    summary = stages.summary()
    assert list(summary["stages"]) == ["one", "two"]
    assert stages.done[0].size == "3 things" and stages.done[0].detail == "of a kind"
    assert stages.done[1].cpu_seconds > 0 and summary["cpu_seconds"] >= 0
