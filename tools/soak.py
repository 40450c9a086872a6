"""Whether a long training leaks: 10,000 steps of `jmed train`, with its memory, open files and threads watched.

    python tools/soak.py [--steps 10000] [--save]

The model is the tiniest that goes through every part of the loop: two passes a step, metrics and TensorBoard, norms by
layer, validation, checkpoints with old ones removed, guards and the watchdog. Every `LOG_EVERY` steps, with the line
that the command prints, its resident memory, open file descriptors and threads are read from /proc (Linux).

Goal: behind the warm-up, a fifth of the steps, memory grows by less than 1 % until the end by a straight line through
the samples, and no file or thread stays open. Exit code 1 where that is missed.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench_loop import write_rows
from timing import save

from jmed_jax.data.rows import RowFormat

CONFIG = Path(__file__).resolve().parents[1] / "configs" / "ncvc_slm_tiny.py"
VOCABULARY, ROW_LENGTH, ROWS = 64, 16, 256
LOG_EVERY, CHECKPOINTS, VALIDATIONS = 50, 40, 20
"""Steps between two samples; how many checkpoints and validations there are in the whole run."""
WARM_UP = 0.2
LARGEST_GROWTH = 0.01
STEP_LINE = re.compile(r"step (\d+)/\d+ ")


class Sample(NamedTuple):
    """What a process holds after so many steps."""

    step: int
    rss_mib: float
    files: int
    threads: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10_000, help="default: 10,000")
    parser.add_argument("--save", action="store_true", help="write the result to tools/results/")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        samples = watch(command(Path(folder), arguments.steps))
    result = summary(samples, arguments.steps)
    print(*(f"{name}: {value}" for name, value in result.items() if name != "samples"), sep="\n")
    if arguments.save:
        print(save("soak", result, ("jax", "grain", "orbax-checkpoint", "tensorboardX")))
    return 0 if result["flat"] else 1


def command(folder: Path, steps: int) -> list[str]:
    """`jmed train` on random rows, all of whose parts come up."""
    row_format = RowFormat(ROW_LENGTH, VOCABULARY)
    fields = {
        "data.rows": write_rows(folder / "rows", ROWS, row_format),
        "data.validation-rows": write_rows(folder / "validation", ROWS // 8, row_format),
        "data.batch-size": 2,
        "data.accumulation": 2,
        "model.vocab-size": VOCABULARY,
        "model.num-layers": 1,
        "model.hidden-size": 16,
        "model.mlp-size": 32,
        "model.num-heads": 2,
        "model.num-kv-heads": 1,
        "model.head-dim": 8,
        "model.context-length": ROW_LENGTH,
        "optimizer.warmup-steps": 0,
        "optimizer.decay-steps": 0,
        "train.steps": steps,
        "train.log-every": LOG_EVERY,
        "train.checkpoint-every": max(1, steps // CHECKPOINTS),
        "train.keep-checkpoints": 2,
        "train.validate-every": max(1, steps // VALIDATIONS),
        "train.statistics-every": LOG_EVERY,
        "train.hang-timeout-s": 600,
    }
    options = [text for name, value in fields.items() for text in (f"--{name}", str(value))]
    return [sys.executable, "-m", "jmed_jax", "train", str(CONFIG), "--run", str(folder / "run"), *options]


def watch(arguments: Sequence[str]) -> list[Sample]:
    """Run a training and sample it at every line about a step.

    Raises:
        CalledProcessError: it fails; what it said is shown.
    """
    samples, said = [], []
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            if found := STEP_LINE.match(line):
                samples.append(sample(process.pid, int(found[1])))
    if process.returncode:
        sys.stderr.writelines(said)
        raise subprocess.CalledProcessError(process.returncode, arguments)
    return samples


def sample(process: int, step: int) -> Sample:
    """What a process holds now."""
    proc = Path("/proc") / str(process)
    status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    files = len(list((proc / "fd").iterdir()))
    return Sample(step, int(status["VmRSS"].split()[0]) / 1024, files, int(status["Threads"]))


def summary(samples: Sequence[Sample], steps: int) -> dict[str, Any]:
    """Growth behind the warm-up, and whether the goal is met."""
    warm = [one for one in samples if one.step >= WARM_UP * steps]
    slope, start = statistics.linear_regression([one.step for one in warm], [one.rss_mib for one in warm])
    first, last = (start + slope * one.step for one in (warm[0], warm[-1]))
    # A checkpoint or a validation may be under way in any sample: the fewest are what is never given back.
    half = len(warm) // 2
    more = {
        name: min(getattr(one, name) for one in warm[half:]) - min(getattr(one, name) for one in warm[:half])
        for name in ("files", "threads")
    }
    growth = last / first - 1
    return {
        "steps": steps,
        "flat": growth < LARGEST_GROWTH and max(more.values()) <= 0,
        "RSS growth behind the warm-up": round(growth, 5),
        "RSS MiB per 1,000 steps": round(1000 * slope, 3),
        "RSS MiB, from and to": [round(first, 1), round(last, 1)],
        "RSS MiB, highest": round(max(one.rss_mib for one in samples), 1),
        "more file descriptors": more["files"],
        "more threads": more["threads"],
        "samples": [
            [one.step, round(one.rss_mib, 1), one.files, one.threads] for one in samples[:: max(1, len(samples) // 50)]
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
