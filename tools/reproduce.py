"""Train the small clinical model of README, from raw text to scores, and compare with the scores on record.

    python tools/reproduce.py --data DATA --out out/clinical [--check tools/results/clinical_small_test-DATE.json]
    python tools/reproduce.py --data DATA --out out/clinical --validation --variants clinical_small,no_neftune

Every stage is a `jmed` command, printed before it runs. What it makes is named after all that decides it, so variants
share the stages that they have in common, also while they run beside each other, and a killed run goes on. With
`--validation` questions drawn from the training rows are scored instead of the test rows: recipes were chosen and are
compared so, and the test rows were looked at three times, each for another recipe.
"""

import argparse
import hashlib
import json
import resource
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock
from timing import accelerators, save

from jmed_jax.artifact import open_artifact, replacing
from jmed_jax.evaluate.compare import compare_evaluations
from jmed_jax.evaluate.evaluations import SCORES
from jmed_jax.jsonl import read_jsonl, write_jsonl

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
PACKAGES = ("jax", "flax", "optax", "grain", "sentencepiece", "fugashi", "datatrove")
VALIDATION_QUESTIONS = 100
"""Of a task, at most."""
COPIES, TERMS = 14_000, 15_000
REFRESHED = 800
"""Copies that stand among the exercises in extraction."""
EPOCHS = 2.5
LONGEST_ANSWER = 160
LONG_ROW, TOKENS_A_STEP = 1024, 2048


@dataclass(frozen=True)
class Draw:
    """How a task's training rows enter the instruction data, answers evened out."""

    times: int = 1
    """So often in an epoch."""
    limit: int | None = None
    """At most so many of them."""


INSTRUCTION_DATA: Mapping[str, Draw] = {
    "smdis": Draw(limit=12_000),
    "crade": Draw(limit=600),
    "jcsts": Draw(2),
    "rrtnm": Draw(3),
    "nrner": Draw(2),
    "mrner_disease": Draw(4),
    "mrner_medicine": Draw(10),
    "jmmlu_med": Draw(),
}


@dataclass(frozen=True)
class Recipe:
    """What a variant changes; all else stands in `configs/*clinical_small*`.

    Attributes:
        dictionary: the tokenizer's MeCab knows the medical terms.
        copies, terms: so many exercises in copying and in extraction.
        cuts: the corpus is cut into passages for extraction so often, elsewhere each time.
        kept_copies, kept_terms: so many exercises, others than before, stand among the instruction data, too.
        long_share: of the passages of extraction, as long as a case report.
        swapped: each pair of JCSTS stands both ways round, instead of twice one way.
        text: so often all rows of text are read.
        everywhere, pretraining, instruction: options of `jmed train` in all trainings, in the first, in the last.
    """

    dictionary: bool = True
    copies: int = COPIES
    terms: int = TERMS
    cuts: int = 1
    kept_copies: int = 0
    kept_terms: int = 0
    long_share: float = 0.2
    swapped: bool = False
    text: float = 1.0
    everywhere: tuple[str, ...] = ()
    pretraining: tuple[str, ...] = ()
    instruction: tuple[str, ...] = ()


RECIPE, BASE = "clinical_small", "base"
NO_EXERCISES = Recipe(copies=0, terms=0)
README = Recipe(
    text=2.0,
    cuts=2,
    long_share=0.5,
    kept_copies=800,
    kept_terms=4000,
    swapped=True,
    everywhere=("--model.num-layers", "6"),
)
VARIANTS: Mapping[str, Recipe] = {
    RECIPE: README,
    # For a GPU, on which its trainings take a few minutes.
    "clinical_29m": replace(
        README,
        text=4.0,
        copies=28_000,
        cuts=4,
        kept_terms=8000,
        everywhere=(
            *("--model.num-layers", "8", "--model.hidden-size", "512", "--model.mlp-size", "2048"),
            *("--model.num-heads", "8", "--model.num-kv-heads", "8", "--train.compute-dtype", "bfloat16"),
        ),
    ),
    # What the others differ from in one thing.
    BASE: Recipe(),
    "no_dictionary": replace(NO_EXERCISES, dictionary=False),
    "document_mask": replace(NO_EXERCISES, pretraining=("--data.attention-mask", "document")),
    "double_text": replace(NO_EXERCISES, text=2.0),
    "half_text": replace(NO_EXERCISES, text=0.5),
    "no_text": replace(NO_EXERCISES, text=0.0),
    "no_copies": Recipe(copies=0),
    "no_terms": Recipe(terms=0),
    "no_exercises": NO_EXERCISES,
    "kept_copies": Recipe(kept_copies=800),
    "kept_both": Recipe(kept_copies=800, kept_terms=4000),
    "no_neftune": Recipe(instruction=("--train.neftune-alpha", "0")),
    "tokens_alike": Recipe(instruction=("--train.length-normalization", "0")),
}

COMPARED = (
    ("no_exercises", BASE),
    ("no_terms", BASE),
    ("no_copies", BASE),
    (BASE, "kept_copies"),
    ("kept_copies", "kept_both"),
    ("no_neftune", BASE),
    ("tokens_alike", BASE),
    ("no_dictionary", "no_exercises"),
    ("no_exercises", "document_mask"),
    ("no_text", "half_text"),
    ("half_text", "no_exercises"),
    ("no_exercises", "double_text"),
)
"""Pairs of variants that differ in one thing, without it and with it."""


class Training:
    """One training, stage after stage.

    Attributes:
        seconds: of the stages that ran to their end in one go, by name.
        peak_gib: of memory, of the largest process up to the last of these stages.
    """

    def __init__(self, recipe: Recipe, data: Path, out: Path, validation: bool, epochs: float, seed: int) -> None:
        self.recipe = recipe
        self.epochs = epochs
        self.seed = seed
        self.data = data.resolve()
        self.out = out
        self.validation = validation
        self.seconds: dict[str, float] = {}
        self.peak_gib = 0.0

    def run(self) -> Path:
        """Every stage that is not there yet; the evaluation directory."""
        held_out = ("--tasks", "jmed_llm", "--data", self.data, "--questions", VALIDATION_QUESTIONS)
        held_out_data = self._make("validation", "data", "holdout", *held_out)
        corpus = self._corpus(held_out_data / "jmed_llm" / "train")
        dictionary = self._make("dictionary", "dictionary", "build", self.data / "dictionary")
        tokenizer = self._tokenizer(corpus, dictionary, held_out_data)
        text = ("--mode", "concat", "--corpus", corpus, "--row-length", 512)
        rows = self._make("rows", "pack", *text, "--tokenizer", tokenizer)
        model = None
        if self.recipe.text:
            model = self._train("clinical_small", rows, 4 / self.recipe.text, *self.recipe.pretraining)
        copies = ("data", "copies", "--tokenizer", tokenizer)
        long = ("--long-share", self.recipe.long_share)
        terms = ("data", "terms", "--corpus", corpus, "--dictionary", dictionary, *long)
        if model and self.recipe.copies:
            files = [self._make("copies.jsonl", *copies, "--count", self.recipe.copies)]
            model = self._exercise("copies", files, tokenizer, model, 512)
        if model and self.recipe.terms:
            falling = ("--optimizer.schedule", "cosine", "--optimizer.peak-lr", "1e-3")
            drawn = ("--count", self.recipe.terms)
            files = [self._make("terms.jsonl", *terms, *drawn)]
            files += [
                self._make("terms.jsonl", *terms, *drawn, "--seed", 2 + cut) for cut in range(1, self.recipe.cuts)
            ]
            if self.recipe.copies:
                files.append(self._make("copies.jsonl", *copies, "--count", REFRESHED, "--seed", 1))
            # As long as the longest reports: positions that no exercise has reached are foreign to the heads that copy.
            model = self._exercise("terms", files, tokenizer, model, LONG_ROW, *falling)
        kept = []
        if self.recipe.kept_copies:
            kept.append(self._make("copies.jsonl", *copies, "--count", self.recipe.kept_copies, "--seed", 2))
        if self.recipe.kept_terms:
            kept.append(self._make("terms.jsonl", *terms, "--count", self.recipe.kept_terms, "--seed", 2))
        questions = held_out_data if self.validation else self.data
        model = self._tune(questions, kept, tokenizer, model)
        asked = ("--tasks", "jmed_llm", "--data", questions, "--prompts", CONFIGS / "clinical_small_prompts.json")
        return self._make("scores", "evaluate", "run", "--model", model, *asked, "--max-new-tokens", LONGEST_ANSWER)

    # --- stages -------------------------------------------------------------------------------------------------------

    def _corpus(self, training_rows: Path) -> Path:
        text = self.out / "text"
        text.mkdir(parents=True, exist_ok=True)
        with FileLock(self.out / ".text.lock"):
            for name in ("pretrain", "jmed_llm", "igakuqa"):
                if not (text / name).is_symlink():
                    (text / name).symlink_to(self.data / name)
            documents = text / "questions.jsonl"
            if not documents.exists():
                with replacing(documents) as temporary:
                    write_jsonl(temporary, question_documents(training_rows))
        config = ("--config", CONFIGS / "corpus_clinical_small.py", "--data", text)
        return self._make("corpus", "corpus", "build", *config)

    def _tokenizer(self, corpus: Path, dictionary: Path, questions: Path) -> Path:
        words = ("--dictionary", dictionary) if self.recipe.dictionary else ()
        messages = ("--conversations", self._conversations("jmed_llm", questions))
        size = ("--vocab-size", 8192, "--max-training-words", 3_000_000)
        return self._make("tokenizer", "tokenizer", "train", "--corpus", corpus, *messages, *words, *size)

    def _exercise(
        self, name: str, files: list[Path], tokenizer: Path, model: Path, row_length: int, *options: Any
    ) -> Path:
        rows = self._pack(name, tokenizer, files, row_length)
        batch = TOKENS_A_STEP // row_length
        sizes = ("--model.context-length", row_length, "--data.batch-size", batch, "--train.initialize-from", model)
        return self._train("clinical_small_exercises", rows, batch, *sizes, *options)

    def _tune(self, questions: Path, kept: list[Path], tokenizer: Path, model: Path | None) -> Path:
        files = [*kept]
        for task, draw in INSTRUCTION_DATA.items():
            limit = ("--limit-per-task", draw.limit) if draw.limit else ()
            drawn = [self._conversations(f"jmed_llm.{task}", questions, *limit)] * draw.times
            if task == "jcsts" and self.recipe.swapped:
                drawn[1:] = [self._conversations("jmed_llm.jcsts", self._swapped(questions))]
            files += drawn
        rows = self._pack("instruction", tokenizer, files, LONG_ROW)
        start = ("--train.initialize-from", model) if model else ()
        return self._train("clinical_small_instruct", rows, 2 / self.epochs, *start, *self.recipe.instruction)

    def _swapped(self, questions: Path) -> Path:
        """A data folder in which the sentences of JCSTS have changed places: how alike they are stays the same."""
        source = questions / "jmed_llm"
        rows = self.out / f"swapped-{questions.name}" / "jmed_llm" / "train" / "jcsts.jsonl"
        if not rows.exists():
            rows.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / "jcsts_options.json", rows.parents[1])
            (original,) = (source / "train").glob("jcsts.jsonl*")
            with replacing(rows) as temporary:
                write_jsonl(temporary, (swapped(row) for _, row in read_jsonl(original)))
        return rows.parents[2]

    def _conversations(self, tasks: str, questions: Path, *options: Any) -> Path:
        wording = ("--balance", "--prompts", CONFIGS / "clinical_small_prompts.json")
        return self._make(
            "conversations.jsonl", "data", "conversations", "--tasks", tasks, "--data", questions, *wording, *options
        )

    def _pack(self, name: str, tokenizer: Path, conversations: list[Path], length: int) -> Path:
        fit = ("--mode", "fit", "--overlong", "truncate", "--row-length", length, "--conversations", *conversations)
        return self._make(f"rows-{name}", "pack", *fit, "--tokenizer", tokenizer)

    def _train(self, config: str, rows: Path, rows_a_step: float, *options: Any) -> Path:
        steps = int(open_artifact(rows, "rows", verify_hashes=False).counts["rows"] / rows_a_step)
        told = (*self.recipe.everywhere, *(("--train.seed", self.seed) if self.seed else ()), *options)
        sizes = ("--data.rows", rows, "--train.steps", steps, *told)
        return self._make(config, "train", CONFIGS / f"{config}.py", *sizes, output="--run")

    # --- commands -----------------------------------------------------------------------------------------------------

    def _make(self, name: str, *command: Any, output: str = "--out") -> Path:
        """Run a `jmed` command unless what it makes is there; its place is named after the command and its settings."""
        words = [str(word) for word in command]
        settings = [Path(word).read_text(encoding="utf-8") for word in words if word.startswith(str(CONFIGS))]
        key = hashlib.sha256(json.dumps([words, settings]).encode()).hexdigest()[:8]
        stem, dot, suffix = name.partition(".")
        made = self.out / f"{stem}-{key}{dot}{suffix}"
        # What other commands make takes its name when it is complete; a training that was killed has a directory.
        finished = self.out / f".{made.name}.finished"
        with FileLock(self.out / f".{made.name}.lock"):
            if not finished.exists() and (output == "--run" or not made.exists()):
                goes_on = made.exists()
                start = time.perf_counter()
                argv = [*words, output, str(made)]
                print(f"$ jmed {shlex.join(argv)}", flush=True)
                subprocess.run([sys.executable, "-m", "jmed_jax", *argv], check=True)
                # In KiB on Linux, of the largest child so far.
                peak_gib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
                measured = "" if goes_on else f"{time.perf_counter() - start:.1f} {peak_gib:.2f}\n"
                finished.write_text(measured, encoding="utf-8")
        if finished.exists() and (measured := finished.read_text(encoding="utf-8")):
            seconds, peak_gib = map(float, measured.split())
            self.seconds[made.name] = seconds
            self.peak_gib = max(self.peak_gib, peak_gib)
        return made


def question_documents(training_rows: Path) -> Iterator[dict[str, str]]:
    """The reports, notes, posts and sentences that training questions are about, each once."""
    seen: set[str] = set()
    for path in sorted(training_rows.glob("*.jsonl")):
        for _, row in read_jsonl(path):
            # JCSTS has two sentences, JMMLU-Med a question alone; elsewhere a report follows the line that asks.
            _, _, report = row["question"].partition("\n")
            own = [row["s1"], row["s2"]] if "s1" in row else [report.strip("「」") or row["question"]]
            for text in own:
                if text not in seen:
                    seen.add(text)
                    yield {"id": str(len(seen)), "text": text}


def swapped(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of JCSTS with its two sentences in each other's place."""
    first, second = row["s1"], row["s2"]
    stated = f"S1: {first}\nS2: {second}"
    assert stated in row["question"], row["id"]
    question = row["question"].replace(stated, f"S1: {second}\nS2: {first}")
    return {**row, "question": question, "s1": second, "s2": first}


# --- results ----------------------------------------------------------------------------------------------------------


def task_results(scores: Path) -> dict[str, dict[str, Any]]:
    """Of each task: score, interval, the same on clean rows, and what the baselines reach."""
    tasks = json.loads((scores / SCORES).read_text(encoding="utf-8"))["tasks"]
    results = {}
    for name, entry in tasks.items():
        metric, clean = entry["main_metric"], entry["clean"]
        results[name] = {
            "metric": metric,
            "n": entry["n"],
            "score": entry["metrics"][metric],
            "interval": entry["intervals"][metric],
            "clean_n": clean["n"] if clean else 0,
            "clean_score": clean[metric] if clean else None,
            "clean_interval": clean["intervals"][metric] if clean else None,
            **{baseline: values[metric] for baseline, values in entry["baselines"].items()},
        }
    return results


def comparisons(evaluations: Mapping[str, Path]) -> list[dict[str, Any]]:
    """The differences in the main metrics between the pairs of COMPARED that are there, Holm-corrected over a pair's
    tasks.
    """
    rows = []
    for first, second in COMPARED:
        if {first, second} <= evaluations.keys():
            main = {entry["metric"] for entry in task_results(evaluations[first]).values()}
            found = compare_evaluations([evaluations[first], evaluations[second]], chosen_metrics=sorted(main))
            rows += [{**row.to_dict(), "first": first, "second": second} for row in found.rows]
    return rows


def print_table(results: Mapping[str, Mapping[str, Any]]) -> None:
    for name, entry in results.items():
        low, high = entry["interval"]
        print(
            f"{name:24} {entry['metric']:10} {entry['score']:6.3f} [{low:.3f}, {high:.3f}]  n {entry['n']:3}   "
            f"linear {entry['linear']:6.3f}   majority {entry['majority']:6.3f}"
        )


def differences(results: Mapping[str, Mapping[str, Any]], recorded: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line for each task whose score is outside of the interval on record, or that is missing."""
    lines = [f"{name}: not scored" for name in recorded.keys() - results.keys()]
    for name in sorted(recorded.keys() & results.keys()):
        score, (low, high) = results[name]["score"], recorded[name]["interval"]
        if not low <= score <= high:
            lines.append(f"{name}: {score:.3f} is outside of [{low:.3f}, {high:.3f}]")
    return lines


def _parameters(scores: Path) -> int:
    count: int = json.loads((scores / SCORES).read_text(encoding="utf-8"))["model"]["parameters"]
    return count


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--out", type=Path, required=True, help="where all stages go")
    parser.add_argument("--validation", action="store_true", help="score questions drawn from the training rows")
    parser.add_argument("--variants", default=RECIPE, help=f"some of {', '.join(VARIANTS)}, separated by commas")
    parser.add_argument("--epochs", type=float, default=EPOCHS, help="of the instruction data (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of all trainings (default: %(default)s)")
    parser.add_argument("--check", type=Path, help="a result on record: exit 1 if a score is outside of its interval")
    parser.add_argument("--save", action="store_true", help="write a result into tools/results")
    arguments = parser.parse_args()
    names = arguments.variants.split(",")
    if unknown := [name for name in names if name not in VARIANTS]:
        parser.error(f"--variants: no {', '.join(unknown)} here, but {', '.join(VARIANTS)}")
    if arguments.check and RECIPE not in names:
        parser.error(f"--check compares {RECIPE}, which --variants does not name")
    trainings, evaluations, found = {}, {}, {}
    for name in names:
        trainings[name] = Training(
            VARIANTS[name], arguments.data, arguments.out, arguments.validation, arguments.epochs, arguments.seed
        )
        evaluations[name] = trainings[name].run()
        found[name] = task_results(evaluations[name])
        print(f"\n{name}{', validation questions' if arguments.validation else ''}")
        print_table(found[name])
    if arguments.save:
        kind = "validation" if arguments.validation else "test"
        runs = {
            name: {
                "parameters": _parameters(evaluations[name]),
                "stages": trainings[name].seconds,
                "peak_gib": trainings[name].peak_gib,
                "tasks": tasks,
            }
            for name, tasks in found.items()
        }
        result = {"epochs": arguments.epochs, "runs": runs, "comparisons": comparisons(evaluations)}
        where = "_gpu" if accelerators() else ""
        print(save(f"clinical_small_{kind}{where}", result, PACKAGES))
    if arguments.check:
        recorded = json.loads(arguments.check.read_text(encoding="utf-8"))["runs"][RECIPE]["tasks"]
        lines = differences(found[RECIPE], recorded)
        print("\n".join(lines) or "every score is within the interval on record")
        return 1 if lines else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
