from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from jmed_jax.errors import InputError
from jmed_jax.train.profile import Profiler, parse_steps


def test_both_ends_count() -> None:
    assert list(parse_steps("10:13")) == [10, 11, 12, 13]
    assert list(parse_steps("1:1")) == [1]


@pytest.mark.parametrize("text", ["", "10", "10:", ":13", "13:10", "0:3", "a:b", "-1:3", "1:2:3"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected FIRST:LAST"):
        parse_steps(text)


def test_the_named_steps_are_traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    monkeypatch.setattr(jax.profiler, "start_trace", lambda path: calls.append(path))
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: calls.append("stop"))
    profiler = Profiler(tmp_path, range(2, 4))
    state = jnp.zeros(())
    for step in range(1, 6):
        profiler.before(step, state)
        calls.append(step)
    profiler.stop(state)
    assert calls == [1, str(tmp_path / "profile"), 2, 3, "stop", 4, 5]


def test_a_run_that_ends_within_the_steps_ends_the_trace(tmp_path: Path) -> None:
    profiler = Profiler(tmp_path, range(1, 9))
    profiler.before(1, jnp.zeros(()))
    jnp.ones(3).sum().block_until_ready()
    profiler.stop(jnp.zeros(()))
    profiler.stop(jnp.zeros(()))
    assert list(tmp_path.rglob("*.xplane.pb"))
