"""What the training loop costs beside the step, and how fast rows come.

    python tools/bench_loop.py [--rounds 5] [--steps 40] [--save]

1. loop: seconds a step of the loop as `jmed train` runs it (data, metrics, TensorBoard, guards, clock; no checkpoint),
   against the bare jitted step on a batch that is already placed, in turns. The model is made as large as a step of
   about 100 ms takes. Goal: less than 2 % over.
2. loader: tokens a second out of 20,000 packed rows of 2,048 tokens, shuffled, in batches of 8 × 4, in one process.
   Goal: at least 10 M.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
from timing import median_ratio, save, take_turns

from jmed_jax import artifact
from jmed_jax.config import DataConfig, ExperimentConfig, ModelConfig, TrainConfig
from jmed_jax.data.loader import make_loader
from jmed_jax.data.rows import Row, RowFormat, open_rows, write_shards
from jmed_jax.parallel.mesh import make_mesh
from jmed_jax.train.batches import Batches, open_training_rows
from jmed_jax.train.goodput import Goodput
from jmed_jax.train.loop import Loop
from jmed_jax.train.run import enter_run
from jmed_jax.train.step import Trainer

VOCABULARY, ROW_LENGTH = 8192, 256
LOADER_ROWS, LOADER_ROW_LENGTH, LOADER_BATCHES = 20_000, 2048, 100


def main() -> None:
    """Run both and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="that count, after one that does not (default: 5)")
    parser.add_argument("--steps", type=int, default=40, help="in one turn (default: 40)")
    parser.add_argument("--save", action="store_true", help="write the result to tools/results/")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = {**measure_loop(Path(folder), args.steps, args.rounds), **measure_loader(Path(folder), args.rounds)}
    print(*(f"{name}: {value}" for name, value in result.items()), sep="\n")
    if args.save:
        print(save("bench_loop", result, ("jax", "grain", "orbax-checkpoint", "tensorboardX")))


def write_rows(path: Path, count: int, row_format: RowFormat) -> Path:
    """A rows artefact of random ids."""
    generator = np.random.default_rng(0)
    T = row_format.row_length
    with artifact.create(path, "rows", {"row_length": T, "vocab_size": row_format.vocab_size}) as draft:
        full = np.ones(T, np.int32), np.ones(T, bool)
        rows = (Row(generator.integers(0, row_format.vocab_size, T).astype(np.int32), *full) for _ in range(count))
        write_shards(rows, draft.path, row_format)
        (draft.path / "tokenizer").mkdir()
        draft.inputs["tokenizer"] = "none"
        draft.counts |= {"rows": count, "target_tokens": count * T, "target_bytes": count * T * 3}
    return path


# --- loop -------------------------------------------------------------------------------------------------------------


def experiment(rows: Path) -> ExperimentConfig:
    """A step of about 100 ms on two CPU cores."""
    model = ModelConfig(
        vocab_size=VOCABULARY,
        num_layers=2,
        hidden_size=128,
        mlp_size=512,
        num_heads=4,
        num_kv_heads=2,
        head_dim=32,
        context_length=ROW_LENGTH,
    )
    # As often as never: checkpoints are no part of a step.
    train = TrainConfig(steps=10**6, compute_dtype="float32", checkpoint_every=10**6)
    return ExperimentConfig("bench_loop", model, DataConfig(str(rows), batch_size=2), train=train)


@contextmanager
def open_loop(folder: Path) -> Iterator[Loop]:
    """A loop at step 0, ready to take steps."""
    config = experiment(write_rows(folder / "loop-rows", 512, RowFormat(ROW_LENGTH, VOCABULARY)))
    rows, row_format, shards = open_training_rows(config)
    mesh = make_mesh(config.mesh)
    batches = Batches(config, mesh, row_format, shards)
    with enter_run(folder / "run", config, rows) as run:
        yield Loop(Trainer(config, mesh), run, rows, batches, Goodput())


def measure_loop(folder: Path, steps: int, rounds: int) -> dict[str, Any]:
    with open_loop(folder) as loop, loop.opened():
        bare = BareStep(loop.trainer, loop.batches)

        def loop_steps() -> None:
            for _ in range(steps):
                loop.take_step()
            jax.block_until_ready(loop.state)

        seconds = take_turns({"loop": loop_steps, "bare": lambda: bare.take(steps)}, rounds)
    milliseconds = {f"{name} ms a step": statistics.median(s) / steps * 1000 for name, s in seconds.items()}
    return {**milliseconds, "loop over bare step": round(median_ratio(seconds["loop"], seconds["bare"]) - 1, 4)}


class BareStep:
    """The jitted step on one batch, over and over, and nothing else."""

    def __init__(self, trainer: Trainer, batches: Batches) -> None:
        self.trainer = trainer
        self.batch = trainer.place(batches.take(0))
        self.state = trainer.fresh_state()

    def take(self, steps: int) -> None:
        for _ in range(steps):
            self.state, _ = self.trainer.step(self.state, {}, self.batch)
        jax.block_until_ready(self.state)


# --- loader -----------------------------------------------------------------------------------------------------------


def measure_loader(folder: Path, rounds: int) -> dict[str, Any]:
    path = write_rows(folder / "loader-rows", LOADER_ROWS, RowFormat(LOADER_ROW_LENGTH, VOCABULARY))
    _, row_format, shards = open_rows(path)
    loader = make_loader(shards, row_format, batch_size=8, accumulation=4, seed=0)
    rates = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        for _ in range(LOADER_BATCHES):
            next(loader)
        rates.append(LOADER_BATCHES * 32 * LOADER_ROW_LENGTH / (time.perf_counter() - start))
    return {"loader million tokens/s": round(statistics.median(rates[1:]) / 1e6, 1)}


if __name__ == "__main__":
    main()
