from pathlib import Path

import pytest

from jmed_jax.corpus.synthetic.facts import Facts, read_facts
from tests.corpus.synthetic.lists import write_lists


@pytest.fixture(scope="session")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the invented lists."""
    return write_lists(tmp_path_factory.mktemp("dictionary") / "lists")


@pytest.fixture(scope="session")
def facts(lists: Path) -> Facts:
    return read_facts([lists])
