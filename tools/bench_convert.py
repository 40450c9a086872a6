"""How fast and in how much memory a Qwen2 of a gigabyte is imported and exported, beside a copy of the same bytes.

    python tools/bench_convert.py [--rounds 5] [--save]

copy: the model's directory, file by file, with what the system has for it (shutil). import: Hugging Face → run. export:
run → Hugging Face. Each in a process of its own, in turns; before each,
what the one before it wrote is removed and the system has written back its pages. The source is in the page cache, so
the copy is one of memory; "to disk" counts until the bytes are there, for both.

Goals: at least half the speed of the copy; at most 1.5 times the model's bytes in memory (a 7B of 15 GB then fits 24
GB). Of the memory, 0.2 GB were there before and 0.2 GB are libraries that the first time imports.
"""

import argparse
import os
import shutil
import statistics
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jax
import ml_dtypes
import numpy as np
from flax import nnx
from timing import in_own_process, median_ratio, save, take_turns

from jmed_jax.convert import huggingface
from jmed_jax.language_model import export_hf
from jmed_jax.models.decoder import abstract_parameters
from jmed_jax.models.qwen2 import qwen2
from jmed_jax.train.import_run import import_run


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="that count, after one that does not (default: 5)")
    parser.add_argument("--save", action="store_true", help="write the result to tools/results/")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), args.rounds)
    print(*(f"{name}: {value}" for name, value in result.items()), sep="\n")
    if args.save:
        print(save("bench_convert", result, ("jax", "orbax-checkpoint", "numpy")))


def measure(folder: Path, rounds: int) -> dict[str, Any]:
    model, out = write_model(folder / "model"), folder / "out"
    import_run(model, folder / "run")
    size = sum(file.stat().st_size for file in model.iterdir())
    memory: dict[str, tuple[int, int]] = {}
    with ExitStack() as processes:
        functions: dict[str, Callable[[], Any]] = {}
        for name, make in (("copy", copying), ("import", importing), ("export", exporting)):
            source = folder / "run" if name == "export" else model
            call = processes.enter_context(in_own_process(make, source, out))

            def counted(call: Callable[[], Any] = call, name: str = name) -> None:
                memory[name] = call()

            functions |= {f"clear for {name}": lambda: clear(out), name: counted, f"{name} to disk": os.sync}
        seconds = take_turns(functions, rounds)
    result: dict[str, Any] = {"gigabytes": round(size / 1e9, 3)}
    for name in ("copy", "import", "export"):
        to_disk = [sum(pair) for pair in zip(seconds[name], seconds[f"{name} to disk"], strict=True)]
        seconds[f"{name} to disk"] = to_disk
        result[f"{name} s"] = round(statistics.median(seconds[name]), 2)
        result[f"{name} to disk s"] = round(statistics.median(to_disk), 2)
    for name in ("import", "export"):
        result[f"{name} over copy speed"] = round(median_ratio(seconds["copy"], seconds[name]), 3)
        disk = median_ratio(seconds["copy to disk"], seconds[f"{name} to disk"])
        result[f"{name} over copy speed, to disk"] = round(disk, 3)
        before, peak = memory[name]
        result[f"{name} peak memory over bytes"] = round((peak - before) / size, 2)
        result[f"{name} peak GB"], result[f"{name} GB before"] = round(peak / 1e9, 2), round(before / 1e9, 2)
    return result


def write_model(out: Path) -> Path:
    """A Hugging Face directory of random bfloat16 numbers, with a tokenizer of bytes."""
    import tokenizers
    import transformers

    out.mkdir()
    numbers = np.random.default_rng(0).standard_normal(2**20, np.float32) * np.float32(0.02)
    abstract = nnx.to_pure_dict(abstract_parameters(qwen2("0.5B"))[1])
    # The same million numbers over and over: random ones for all would take longer than what is measured.
    parameters = jax.tree.map(lambda a: np.resize(numbers.astype(ml_dtypes.bfloat16), a.shape), abstract)
    huggingface.write_weights(out, qwen2("0.5B"), parameters, token_ids={"eos_token_id": 1}, dtype="bfloat16")
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        special_tokens=["<|endoftext|>", "<|im_end|>"], initial_alphabet=alphabet, show_progress=False
    )
    core = tokenizers.Tokenizer(tokenizers.models.BPE(vocab={}, merges=[]))
    core.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = tokenizers.decoders.ByteLevel()
    core.train_from_iterator([], trainer)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    tokenizer.save_pretrained(out)
    return out


def clear(out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    os.sync()


# --- in processes of their own ----------------------------------------------------------------------------------------


def copying(source: Path, out: Path) -> Callable[[], tuple[int, int]]:
    return _with_memory(lambda: shutil.copytree(source, out))


def importing(source: Path, out: Path) -> Callable[[], tuple[int, int]]:
    return _with_memory(lambda: import_run(source, out))


def exporting(source: Path, out: Path) -> Callable[[], tuple[int, int]]:
    return _with_memory(lambda: export_hf(source, out))


def _with_memory(work: Callable[[], Any]) -> Callable[[], tuple[int, int]]:
    """The work, which then gives bytes of memory before the first time, and at most in the first time: a script does it
    once."""
    before = _peak()
    peak: list[int] = []

    def call() -> tuple[int, int]:
        work()
        peak.append(_peak())
        return before, peak[0]

    return call


def _peak() -> int:
    """Of this process since it began; what `resource` says began in the process that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
