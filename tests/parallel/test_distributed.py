"""Real processes: that they find each other, and that none waits for one that is gone."""

import re
import time

import pytest

from jmed_jax.errors import InputError
from jmed_jax.parallel import distributed
from tests.parallel.processes import free_port, launch, outcomes
from tests.parallel.work import SILENCE_SECONDS

WORK = ("tests.parallel.work", "{coordinator}", "{processes}", "{process}")


def said(text: str) -> list[str]:
    """Without the sum, which a process may not have come to when another fails."""
    return [line for line in text.splitlines() if not line.startswith("sum ")]


def test_one_process_is_the_first_and_waits_for_nobody() -> None:
    with distributed.start():
        assert distributed.is_first()
        assert distributed.process_count() == 1
        distributed.barrier("alone")


def test_what_does_not_fit_together_is_refused_before_anything_starts() -> None:
    with pytest.raises(InputError, match="give all three or none"), distributed.start("localhost:1", 2):
        raise AssertionError


def test_processes_compute_together_and_part() -> None:
    (first, second) = outcomes(launch((*WORK, "nothing"), processes=2, devices=2))
    assert first == (0, "sum 4, first True\ndone\n")
    assert second == (0, "sum 4, first False\ndone\n")


def test_an_interruption_of_all_is_nobodys_failure() -> None:
    for code, text in outcomes(launch((*WORK, "together"), processes=2, devices=1)):
        assert (code, said(text)) == (130, [])


@pytest.mark.parametrize("culprit", [0, 1])
def test_a_refusal_of_one_process_ends_the_others_with_its_words(culprit: int) -> None:
    results = outcomes(launch((*WORK, f"refuse {culprit}"), processes=2, devices=1))
    lines = [said(text) for _, text in results]
    assert lines[culprit] == ["error: these rows are not rows."]
    assert lines[1 - culprit] == [f"error: process {culprit} stopped: these rows are not rows."]
    assert [code for code, _ in results] == [2, 2]


def test_a_failure_of_one_process_ends_the_others() -> None:
    (code, text), (other_code, other_text) = outcomes(launch((*WORK, "break 0"), processes=2, devices=1))
    assert code == other_code == 1
    assert "RuntimeError: broken" in text
    assert said(other_text) == ["error: process 0 stopped: broken"]


@pytest.mark.slow
@pytest.mark.parametrize("what", ["compute", "wait"])
@pytest.mark.parametrize("victim", [0, 1, 2])
def test_a_killed_process_is_named_by_the_others_which_end(victim: int, what: str) -> None:
    running = launch((*WORK, what), processes=3, devices=1)
    for process in running:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("sum 3"):
            pass
    killed = time.monotonic()
    running[victim].kill()
    results = outcomes(running)
    # Silence, a tenth of it between two signs of life and between two looks, and time to end on a busy machine.
    assert time.monotonic() - killed < SILENCE_SECONDS * 1.2 + 15
    for process, (code, text) in enumerate(results):
        if process != victim:
            assert code == 1
            # JAX's own words on a lost coordinator may come before.
            assert re.match(rf"error: process {victim} died: ", text.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("who", [0, 1])
def test_processes_that_do_not_come_are_reported(who: int) -> None:
    arguments = ("tests.parallel.work", f"localhost:{free_port()}", "2", str(who), "nothing")
    ((code, text),) = outcomes(launch(arguments, processes=1, devices=1))
    assert code == 2
    expected = f"error: the processes of this run did not find each other within 8 s: this is process {who} of 2"
    assert text.splitlines()[-1].startswith(expected)
