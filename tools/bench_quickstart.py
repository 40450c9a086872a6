"""What the quickstart takes, and what its model reaches: seconds of each stage, peak memory, scores.

    python tools/bench_quickstart.py [--data DATA] [--save]

`jmed quickstart` in a process of its own, once; without `--data` on the synthetic sample. Processor seconds are those
of all cores together and depend little on what else the machine does; `load_before` says whether it did anything.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from timing import save

GIB = 2**30
# Linux counts in KiB, macOS in bytes.
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def main() -> None:
    """Run it and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the data folder (default: the synthetic sample)")
    parser.add_argument("--save", action="store_true", help="write the result to tools/results/")
    args = parser.parse_args()
    result = measure(args.data)
    print(*(f"{name}: {value}" for name, value in result.items()), sep="\n")
    if args.save:
        print(save("bench_quickstart", result, ("jax", "flax", "grain", "sentencepiece", "fugashi", "datatrove")))


def measure(data: Path | None) -> dict[str, Any]:
    """The quickstart's own summary, with the peak memory of the largest of its processes."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        given = ("--data", str(data)) if data else ()
        subprocess.run([sys.executable, "-m", "jmed_jax", "quickstart", *given, "--out", str(out)], check=True)
        summary = json.loads((out / "quickstart.json").read_text(encoding="utf-8"))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * RSS_UNIT
    kept = ("parameters", "seconds", "cpu_seconds", "stages", "scores")
    return {
        "data": "a data folder" if data else "the synthetic sample",
        "load_before": round(load, 1),
        "peak_gib": round(peak / GIB, 2),
        **{name: summary[name] for name in kept},
    }


if __name__ == "__main__":
    main()
