"""Skipped steps are named and counted, spikes found, and what a rewind leaves out is left out for good."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jmed_jax.data.loader import Batch, make_loader
from jmed_jax.data.rows import open_rows
from jmed_jax.train.guards import Diverged, Guards, Rewind, SpikeDetector, batch_after
from jmed_jax.train.step import StepMetrics
from tests import tiny

CONFIG = tiny.experiment(max_skipped=3, spike_window=8, spike_threshold=10.0)
REWINDING = tiny.experiment(spike_window=8, rewind_on_spike=True, spike_batches=2, max_rewinds=2)
PARAMETERS = ("blocks.mlp.up.kernel", "final_norm.scale")
LAYERS = ("blocks.mlp.up.kernel/0", "blocks.mlp.up.kernel/1", "final_norm.scale")
NAN, INF = math.nan, math.inf
ROWS = 24


def metrics(
    loss: float = 2.0, norms: tuple[float, float] = (1.0, 1.0), statistics: Any = None, norm: float | None = None
) -> StepMetrics:
    norm = float(np.linalg.norm(norms)) if norm is None else norm
    skipped = not (math.isfinite(loss) and math.isfinite(norm))
    return StepMetrics(loss, 10.0, norm, 1e-3, skipped, np.array(norms), statistics)


def guards(path: Path, config: Any = CONFIG, state: dict[str, Any] | None = None, **process: int) -> Guards:
    return Guards(config, path, PARAMETERS, LAYERS, ROWS, state or {}, **process)


# --- skipped steps ----------------------------------------------------------------------------------------------------


def test_the_run_stops_after_so_many_skips_in_a_row_and_says_which_rows(tmp_path: Path) -> None:
    guard, batch = guards(tmp_path), tiny.random_batch()
    bad = metrics(NAN, (INF, 1.0))
    for step in (1, 2):
        guard.check(step, bad)
    guard.check(3, metrics())
    for step in (4, 5):
        guard.check(step, bad)
    guard.remember(6, batch)
    with pytest.raises(Diverged) as stopped:
        guard.check(6, bad)
    message = str(stopped.value)
    rows = guard.rows_of(6)
    for part in ("step 6", "loss nan", "gradient norm inf", "blocks.mlp.up.kernel", "guards/step-6/process-0.npz"):
        assert part in message
    assert ", ".join(map(str, rows.ravel())) in message
    assert "final_norm" not in message and "\n" not in message
    assert guard.skipped == 5
    with np.load(tmp_path / "guards" / "step-6" / "process-0.npz", allow_pickle=False) as saved:
        np.testing.assert_array_equal(saved["rows"], rows)
        for name, array in batch._asdict().items():
            np.testing.assert_array_equal(saved[name], array)


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        (metrics(NAN), ["loss"]),
        (metrics(2.0, (1.0, NAN)), ["gradients of final_norm.scale"]),
        (metrics(NAN, (NAN, NAN)), ["loss", "all gradients"]),
        (metrics(2.0, (1e25, 1e25), norm=INF), ["global gradient norm"]),
        # With statistics the layer is named too.
        (metrics(2.0, (NAN, 1.0), np.array([[1.0, NAN, 1.0]] * 3)), ["gradients of blocks.mlp.up.kernel/1"]),
    ],
)
def test_what_is_not_finite_is_named(tmp_path: Path, bad: StepMetrics, named: list[str]) -> None:
    assert guards(tmp_path).not_finite(bad) == named


def test_every_skip_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    guard = guards(tmp_path)
    assert guard.check(1, metrics(INF)) is None
    assert "step 1: loss not finite" in capsys.readouterr().err
    assert not (tmp_path / "guards").exists()


@pytest.mark.parametrize("processes", [1, 2])
def test_the_rows_named_are_those_that_the_loader_gave(tmp_path: Path, processes: int) -> None:
    rows = tiny.make_rows(tmp_path / "rows", count=ROWS)
    _, row_format, shards = open_rows(rows)
    every_row = [row_format.decode(record) for record in read_all(shards)]
    config = replace(CONFIG, data=replace(CONFIG.data, batch_size=4, accumulation=2))
    for process in range(processes):
        place = {"process_index": process, "process_count": processes}
        loader = make_loader(shards, row_format, batch_size=4, accumulation=2, seed=config.train.seed, **place)
        guard = guards(tmp_path, config, **place)
        # Into the second and third epoch, which are shuffled anew.
        for step in range(1, 8):
            batch: Batch = next(loader)
            named = guard.rows_of(step)
            expected = np.stack([every_row[row][0] for row in named.ravel()]).reshape(batch.tokens.shape)
            np.testing.assert_array_equal(batch.tokens, expected)


def read_all(shards: list[Path]) -> list[bytes]:
    import grain

    source = grain.sources.ArrayRecordDataSource([str(shard) for shard in shards])
    return [source[i] for i in range(len(source))]


# --- spikes -----------------------------------------------------------------------------------------------------------


def noisy_losses(count: int, level: float = 3.0) -> list[float]:
    return (level + 0.05 * np.random.default_rng(0).standard_normal(count)).tolist()


def spikes_in(losses: list[float], warmup_steps: int = 0, **settings: float) -> list[int]:
    config = replace(CONFIG.train, **settings)
    detector = SpikeDetector(config, warmup_steps)
    return [step for step, loss in enumerate(losses, start=1) if detector.observe(step, loss)]


def test_a_spike_is_found_and_noise_is_not() -> None:
    losses = noisy_losses(200)
    assert spikes_in(losses, spike_window=32) == []
    losses[120] = 5.0
    assert spikes_in(losses, spike_window=32) == [121]


def test_a_falling_loss_and_a_downward_jump_are_no_spikes() -> None:
    falling = [10 * 0.97**step for step in range(100)]
    assert spikes_in([*falling, *noisy_losses(20, level=0.1)], spike_window=16) == []


def test_no_spike_before_the_window_is_full_or_the_warmup_over() -> None:
    early = [3.0, 3.1, 2.9, 30.0, *noisy_losses(20)]
    assert spikes_in(early, spike_window=8) == []
    late = [*noisy_losses(20), 30.0]
    assert spikes_in(late, spike_window=8) == [21]
    assert spikes_in(late, warmup_steps=21, spike_window=8) == []


def test_a_plateau_without_noise_does_not_make_every_wiggle_a_spike() -> None:
    assert spikes_in([*[1.0] * 20, 1.01], spike_window=8) == []
    assert spikes_in([*[1.0] * 20, 1.1], spike_window=8) == [21]


def test_a_lasting_new_level_stops_being_a_spike() -> None:
    found = spikes_in([*noisy_losses(32), *noisy_losses(40, level=6.0)], spike_window=16)
    assert found[0] == 33 and found[-1] < 33 + 10


def test_losses_that_are_not_finite_do_not_count() -> None:
    losses = noisy_losses(40)
    assert spikes_in([*losses, INF, NAN, *losses], spike_window=16) == []


def test_a_threshold_of_zero_looks_for_none() -> None:
    assert spikes_in([*noisy_losses(20), 99.0], spike_window=8, spike_threshold=0.0) == []


# --- rewinds ----------------------------------------------------------------------------------------------------------


def test_batches_left_out_are_jumped_over() -> None:
    assert [batch_after(step, []) for step in range(3)] == [0, 1, 2]
    # In any order, also where they touch or overlap.
    left_out = [(6, 8), (1, 3), (7, 9)]
    assert [batch_after(step, left_out) for step in range(6)] == [0, 3, 4, 5, 9, 10]


def run_until_spike(guard: Guards, first_step: int, spike_step: int) -> Rewind | None:
    for step in range(first_step, spike_step):
        assert guard.check(step, metrics(3.0 + 0.01 * (step % 3))) is None
    return guard.check(spike_step, metrics(9.0))


def test_without_rewinds_a_spike_is_only_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_until_spike(guards(tmp_path), 1, 12) is None
    assert "step 12: loss spike, 9.0000" in capsys.readouterr().err


def test_a_rewind_leaves_out_the_batches_of_the_spike(tmp_path: Path) -> None:
    guard = guards(tmp_path, REWINDING)
    for step in range(1, 11):
        guard.check(step, metrics(3.0 + 0.01 * (step % 3)))
    checkpoint = json.loads(json.dumps(guard.state()))
    assert run_until_spike(guard, 11, 14) == Rewind(before_step=13)
    guard.rewound(checkpoint)
    # Steps 13 and 14 had the batches 12 and 13.
    assert [guard.batch_after(step) for step in (10, 11, 12, 13)] == [10, 11, 14, 15]
    assert guard.state() == {**checkpoint, "left_out": [[12, 14]]}


def test_a_restored_run_judges_and_counts_as_the_one_that_went_on(tmp_path: Path) -> None:
    first = guards(tmp_path, REWINDING)
    for step in range(1, 11):
        first.check(step, metrics(3.0 + 0.01 * (step % 3)))
    first.check(11, metrics(NAN))
    again = guards(tmp_path, REWINDING, json.loads(json.dumps(first.state())))
    assert run_until_spike(first, 12, 14) == run_until_spike(again, 12, 14) == Rewind(before_step=13)
    assert again.state() == first.state()
    assert again.skipped == 1


def test_rewinds_are_bounded_also_over_restarts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    guard = guards(tmp_path, REWINDING)
    for _ in range(2):
        assert run_until_spike(guard, 1, 14) is not None
        guard.rewound({})
        guard = guards(tmp_path, REWINDING, json.loads(json.dumps(guard.state())))
    assert guard.left_out == [(12, 14), (14, 16)]
    assert run_until_spike(guard, 1, 14) is None
    assert "no rewind, 2 were made" in capsys.readouterr().err
