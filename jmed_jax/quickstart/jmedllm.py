"""JMedLLM-v1 on a small scale: import, full-parameter training (MFPT), LoRA (MPEFT), evaluation, export, reload.

The model is a small random Qwen2, so nothing of what Qwen2-7B knows is in it; the tokenizer is Qwen2's own where the
data folder has it.
"""

import json
from collections.abc import Mapping
from math import comb
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from jmed_jax.config import DataConfig, ExperimentConfig, LoraConfig, ModelConfig, OptimizerConfig, TrainConfig
from jmed_jax.corpus.config import CorpusConfig
from jmed_jax.corpus.documents import iter_corpus
from jmed_jax.corpus.pipeline import build_corpus
from jmed_jax.corpus.sources import plain_sources
from jmed_jax.data.pack import pack_conversations, pack_corpus
from jmed_jax.evaluate.evaluations import SCORES
from jmed_jax.evaluate.exams.question import MultipleChoiceQuestion
from jmed_jax.evaluate.plan import Options, plan_tasks
from jmed_jax.evaluate.questions import Question
from jmed_jax.evaluate.run import run_tasks
from jmed_jax.jsonl import read_jsonl
from jmed_jax.language_model import LanguageModel, export_adapter, load
from jmed_jax.language_model.backend import OurModel
from jmed_jax.page.adaptation_page import write_adaptation_page
from jmed_jax.page.page import Sample
from jmed_jax.quickstart.jmedllm_report import Outcome, adaptation_page, summary
from jmed_jax.quickstart.questions import read_style, write_held_out, write_training
from jmed_jax.quickstart.small_qwen2 import CONTEXT, train_byte_bpe, write_random_qwen2
from jmed_jax.quickstart.stages import (
    PAGE,
    Stages,
    describe_corpus,
    describe_rows,
    describe_training,
    megabytes,
    smallest_files,
)
from jmed_jax.train.import_run import import_run
from jmed_jax.train.loop import train

NEEDED = ("pretrain",)
"""Parts of the data folder."""

QWEN2_TOKENIZER = "qwen2_tokenizer"
BPE_VOCABULARY = 4096
"""Of the tokenizer that is trained where Qwen2's is not there."""

MODELS = {"imported": "Imported (random)", "mfpt": "After MFPT", "mpeft": "After MPEFT"}
"""The runs that are evaluated, each made of the one before."""

QUESTIONS = 16_000
"""Of the style, training and held out."""
EXAMS = 20
"""Training questions of an examination: a taste. Their long answers would drown the short ones (EXPERIMENTS.md)."""
ASKED = 400
"""Held-out questions of a task at most."""
MAX_NEW_TOKENS = 16

CLOSE = 1e-4
"""Logits of an export in float32 against those of its run."""


def mfpt_config(model: ModelConfig, rows: Path, start: Path) -> ExperimentConfig:
    """Stage one: `configs/jmedllm_7b_mfpt.py` at a size for two cores and weights that know nothing.

    The peak learning rate is that of training from scratch: 1e-5 keeps what a trained model knows, and here is nothing.
    """
    return ExperimentConfig(
        name="small_qwen2_mfpt",
        model=model,
        data=DataConfig(rows=str(rows), batch_size=1, attention_mask="document"),
        optimizer=OptimizerConfig(peak_lr=2e-3, final_lr=2e-4, warmup_steps=5, weight_decay=0.1),
        train=TrainConfig(
            steps=80,
            compute_dtype="float32",
            log_every=20,
            checkpoint_every=80,
            loss_chunk=256,
            initialize_from=str(start),
        ),
    )


def mpeft_config(model: ModelConfig, rows: Path, start: Path) -> ExperimentConfig:
    """Stage two: LoRA on all linear layers, loss on the answers alone, as `configs/jmedllm_7b_mpeft.py`.

    Half as wide as the model itself and at a high learning rate: the adapter has to learn all that there is.
    """
    return ExperimentConfig(
        name="small_qwen2_mpeft",
        model=model,
        data=DataConfig(rows=str(rows), batch_size=4, attention_mask="document"),
        lora=LoraConfig(rank=32, alpha=32.0, base="float32"),
        optimizer=OptimizerConfig(peak_lr=3e-3, warmup_steps=20, beta2=0.99, weight_decay=0.0),
        train=TrainConfig(
            steps=1100,
            compute_dtype="float32",
            log_every=100,
            checkpoint_every=1100,
            # Targets stand first and are few: little of the vocabulary's product is computed for nothing.
            loss_chunk=64,
            initialize_from=str(start),
        ),
    )


def run(data: Path, out: Path, stages: Stages, synthetic: bool) -> dict[str, Any]:
    """Every stage, and the page.

    Returns:
        As `jmedllm_report.summary`.

    Raises:
        InputError: the data folder has no text or no questions.
    """
    recipe = _Recipe(data, out, stages)
    config = recipe.import_base()
    recipe.train(config)
    scores, chance = recipe.evaluate(), recipe.chance()
    reload = recipe.export_and_reload()
    answer = recipe.ask()
    outcome = Outcome(
        out=out,
        config=config,
        style=recipe.style.title,
        own_tokenizer=recipe.own_tokenizer,
        models=MODELS,
        scores=scores,
        chance=chance,
        reload=reload,
        largest_logit=recipe.largest_logit,
        answer=answer,
    )
    data_note = "the synthetic sample that the package ships" if synthetic else data.name
    write_adaptation_page(out / PAGE, adaptation_page(outcome, stages.done, data_note, synthetic))
    return summary(outcome)


class _Recipe:
    """The stages in their order."""

    def __init__(self, data: Path, out: Path, stages: Stages) -> None:
        self.data = data
        self.out = out
        self.stages = stages
        self.own_tokenizer = not (data / QWEN2_TOKENIZER).is_dir()

    # --- the model, and what it reads ---------------------------------------------------------------------------------

    def import_base(self) -> ModelConfig:
        """Corpus, tokenizer, a random model in a Hugging Face directory, and that as a run."""
        out = self.out
        self.style = self.stages.run(
            "Questions",
            lambda: read_style(self.data, limit=QUESTIONS),
            lambda style: (f"{len(style.training):,} to learn, {len(style.sides['test']):,} held out", style.title),
        )
        sources = plain_sources(smallest_files(self.data / "pretrain"))
        self.stages.run(
            "Corpus", lambda: build_corpus(CorpusConfig("quickstart", sources), out / "corpus"), describe_corpus
        )
        tokenizer = self._tokenizer()
        config = self.stages.run(
            "Random Qwen2",
            lambda: write_random_qwen2(tokenizer, out / "random-qwen2"),
            lambda config: (f"{config.num_parameters:,} parameters", "a Hugging Face directory, in float32"),
        )
        self.stages.run(
            "Import",
            lambda: import_run(out / "random-qwen2", out / "imported"),
            lambda made: (_size(made.path), "a run at step 0, with the tokenizer of the directory"),
        )
        return config

    def _tokenizer(self) -> Path:
        if not self.own_tokenizer:
            return self.data / QWEN2_TOKENIZER
        path = self.out / "tokenizer"
        questions = ("\n".join([question.text, *question.choices]) for question in self.style.training)
        self.stages.run(
            "Tokenizer",
            lambda: train_byte_bpe([*iter_corpus(self.out / "corpus"), *questions], path, vocab_size=BPE_VOCABULARY),
            lambda _: (f"{BPE_VOCABULARY:,} tokens", "byte-level BPE in Qwen2's files: the package has no copy of its"),
        )
        return path

    # --- training -----------------------------------------------------------------------------------------------------

    def train(self, model: ModelConfig) -> None:
        """MFPT on text, then MPEFT on questions beside the run that it made."""
        out = self.out
        tokenizer = out / "imported/tokenizer"
        self.stages.run(
            "Rows of text",
            lambda: pack_corpus(tokenizer, out / "corpus", out / "rows-text", row_length=CONTEXT, mode="documents"),
            describe_rows,
        )
        mfpt = mfpt_config(model, out / "rows-text", out / "imported")
        self.stages.run("MFPT", lambda: train(mfpt, out / "mfpt"), describe_training)
        self.tasks = write_held_out(self.style, self.data, out / "held-out")
        files = self.stages.run(
            "Instruction data",
            lambda: write_training(self.style, self.data, out / "conversations", out / "held-out", exams=EXAMS),
            lambda files: (
                f"{sum(_count(file) for file in files):,} conversations",
                f"in the evaluation’s own prompts; {_count(out / 'held-out/questions.jsonl'):,} questions held out",
            ),
        )
        self.stages.run(
            "Rows of questions",
            lambda: pack_conversations(tokenizer, files, out / "rows-questions", row_length=CONTEXT),
            describe_rows,
        )
        mpeft = mpeft_config(model, out / "rows-questions", out / "mfpt")
        self.stages.run("MPEFT", lambda: train(mpeft, out / "mpeft"), describe_training)

    # --- evaluation ---------------------------------------------------------------------------------------------------

    def evaluate(self) -> dict[str, dict[str, Any]]:
        """Entries of `scores.json`: task → model → entry. All models get the same prompts."""
        scores: dict[str, dict[str, Any]] = {}
        for run, label in MODELS.items():
            entries = self.stages.run(
                f"Evaluation: {label}",
                lambda run=run: self._scores(run),  # type: ignore[misc]
                lambda entries: (
                    f"{sum(entry['n'] for entry in entries.values()):,} questions",
                    ", ".join(
                        f"{task} {entry['metrics'][entry['main_metric']]:.3f}" for task, entry in entries.items()
                    ),
                ),
            )
            for task, entry in entries.items():
                scores.setdefault(task, {})[run] = entry
        return scores

    def _scores(self, run: str) -> dict[str, Any]:
        model = load(self.out / run)
        made = run_tasks(
            OurModel(model),
            self.tasks,
            self.out / "held-out",
            self.out / f"evaluation-{run}",
            model_info={"name": model.name, "parameters": model.config.num_parameters},
            options=_options(),
        )
        return json.loads((made.path / SCORES).read_text(encoding="utf-8"))["tasks"]

    def chance(self) -> dict[str, float]:
        """Of a guess, a task: it names as many choices as the answer has."""
        plans = plan_tasks(self.tasks, self.out / "held-out", _options())
        return {plan.task.name: fmean(map(_chance, plan.questions)) for plan in plans}

    # --- export -------------------------------------------------------------------------------------------------------

    def export_and_reload(self) -> dict[str, float]:
        """The merged model in both dtypes and the adapter; how far the logits of each, reloaded, are from the run's."""
        out = self.out
        trained = load(out / "mpeft")
        scores = out / "evaluation-mpeft" / SCORES

        def export() -> list[Path]:
            trained.save_hf(out / "model", scores=scores)
            trained.save_hf(out / "model-float32", dtype="float32", scores=scores)
            export_adapter(out / "mpeft", out / "adapter")
            return [out / name for name in ("model", "model-float32", "adapter")]

        self.stages.run(
            "Export",
            export,
            lambda made: (
                ", ".join(f"{path.name} {_size(path)}" for path in made),
                "merged, in bfloat16 and float32 (Qwen2ForCausalLM), and the adapter (PEFT)",
            ),
        )
        return self.stages.run("Reload", lambda: self._differences(trained), _describe_differences)

    def _differences(self, trained: LanguageModel) -> dict[str, float]:
        ids = [trained.chat_prompt(messages) for messages in self._prompts()[:4]]
        ids_BT = [prompt[: min(map(len, ids))] for prompt in ids]
        logits_BTV = np.asarray(trained.logits(ids_BT))
        self.largest_logit = float(np.abs(logits_BTV).max())
        reloaded = {
            "model-float32": load(self.out / "model-float32"),
            "adapter": load(self.out / "mfpt", adapters={"mpeft": self.out / "adapter"}).with_adapter("mpeft"),
            "model": load(self.out / "model"),
        }
        differences = {
            name: float(np.abs(np.asarray(model.logits(ids_BT)) - logits_BTV).max()) for name, model in reloaded.items()
        }
        assert max(differences["model-float32"], differences["adapter"]) < CLOSE, differences
        return differences

    def ask(self) -> Sample:
        """One held-out question, answered by the export."""
        rows = read_jsonl(self.out / "evaluation-mpeft/predictions-questions.jsonl")
        gold = next(rows)[1]["gold"]
        prompt = self._prompts()[0]
        answer = self.stages.run(
            "One answer from the export",
            lambda: load(self.out / "model").chat([prompt], max_new_tokens=MAX_NEW_TOKENS)[0],
            lambda text: (f"{len(text)} characters", text),
        )
        return Sample("questions", prompt[-1]["content"], answer, gold, gold in answer)

    def _prompts(self) -> list[list[dict[str, str]]]:
        path = self.out / "evaluation-mpeft/prompts-questions.jsonl"
        return [row["messages"] for _, row in read_jsonl(path)]


def _chance(question: Question) -> float:
    assert isinstance(question, MultipleChoiceQuestion)
    return 1 / comb(len(question.choices), len(question.answer))


def _options() -> Options:
    """How all models are asked: as arXiv 2409.11783 does."""
    return Options(protocol="gestalt_cot", limit=ASKED, max_new_tokens=MAX_NEW_TOKENS)


def _describe_differences(differences: Mapping[str, float]) -> tuple[str, str]:
    found = ", ".join(f"{name} {difference:.1e}" for name, difference in differences.items())
    return f"{len(differences)} models", f"largest difference of a logit from the run’s: {found}"


def _size(path: Path) -> str:
    return megabytes(sum(file.stat().st_size for file in path.rglob("*") if file.is_file()))


def _count(path: Path) -> int:
    return sum(1 for _ in read_jsonl(path))
