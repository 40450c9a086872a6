"""NCVC-slm-1 on a small scale: text, dictionary, tokenizer, pre-training, instruction tuning, JMED-LLM, export."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jmed_jax.config import DataConfig, ExperimentConfig, ModelConfig, OptimizerConfig, TokenizerConfig, TrainConfig
from jmed_jax.corpus.config import CorpusConfig
from jmed_jax.corpus.documents import iter_corpus
from jmed_jax.corpus.pipeline import build_corpus
from jmed_jax.corpus.sources import plain_sources
from jmed_jax.data.pack import pack_conversations, pack_corpus, read_conversations
from jmed_jax.errors import InputError
from jmed_jax.evaluate.instruction import write_conversations
from jmed_jax.evaluate.plan import Options
from jmed_jax.evaluate.run import run_tasks
from jmed_jax.evaluate.tasks import expand_tasks, get_task
from jmed_jax.jsonl import read_jsonl
from jmed_jax.language_model import LanguageModel, load
from jmed_jax.language_model.backend import OurModel
from jmed_jax.page.page import QuickstartPage, Sample, write_page
from jmed_jax.quickstart.stages import (
    PAGE,
    Stages,
    describe_corpus,
    describe_rows,
    describe_training,
    megabytes,
    smallest_files,
)
from jmed_jax.tokenizer.dictionary import build_dictionary
from jmed_jax.tokenizer.tokenizer import train_tokenizer
from jmed_jax.train.loop import train
from jmed_jax.train.metrics import read_metrics

NEEDED = ("pretrain", "dictionary", "jmed_llm/train", "jmed_llm/test")
"""Parts of the data folder."""
PROMPTS = Path(__file__).with_name("prompts.json")

# Instruction tuning in two rounds, each a run of its own: training rows a task. Mostly the two tasks of short texts,
# which a model of this size learns within minutes; a taste of the others, so that their questions are not foreign.
# In one mixture the few tokens of the one-letter answers drown beside the long lists, and nothing is learned of them
# (EXPERIMENTS.md); so the lists come first, and the letters follow with some lists among them.
ROUNDS = {
    "lists": {
        "jmed_llm.nrner": 1500,
        "jmed_llm.mrner_disease": 40,
        "jmed_llm.mrner_medicine": 40,
        "jmed_llm.crade": 20,
        "jmed_llm.jcsts": 20,
    },
    "instruct": {
        "jmed_llm.smdis": 4500,
        "jmed_llm.rrtnm": 100,
        "jmed_llm.jmmlu_med": 60,
        "jmed_llm.nrner": 400,
    },
}
# As many as five minutes of two cores allow.
EPOCHS = 6
MAX_NEW_TOKENS = 96


def pretraining_config() -> ExperimentConfig:
    """The NCVC-slm-1 recipe at a size that two CPU cores train in a minute: `configs/ncvc_slm_tiny.py`.

    Beside the sizes it differs from the paper in float32 (CPUs have no fast bfloat16), no dropout (most text is seen
    once), and a tied head: with so few steps a model learns to copy from the text only if writing a token uses the
    same vector as reading it (EXPERIMENTS.md).
    """
    return ExperimentConfig(
        name="ncvc_slm_tiny",
        model=ModelConfig(
            vocab_size=4096,
            num_layers=2,
            hidden_size=64,
            mlp_size=256,
            num_heads=2,
            num_kv_heads=1,
            head_dim=32,
            context_length=384,
            tie_embeddings=True,
            attention_dropout=0.0,
            residual_dropout=0.0,
        ),
        data=DataConfig(batch_size=4),
        optimizer=OptimizerConfig(peak_lr=2e-3, warmup_steps=10),
        train=TrainConfig(steps=200, compute_dtype="float32", log_every=25, checkpoint_every=100),
        tokenizer=TokenizerConfig(vocab_size=4096, max_training_words=2_000_000),
    )


def instruction_config(name: str, start: Path, vocab_size: int, rows: int) -> ExperimentConfig:
    """One round of instruction tuning of the tiny model: NEFTune, loss on answers.

    Args:
        name: of the round.
        start: the run whose parameters it begins with.
        vocab_size: with the chat tokens.
        rows: number of packed rows.
    """
    base = pretraining_config()
    steps = EPOCHS * rows // base.data.batch_size
    return replace(
        base,
        name=f"ncvc_slm_tiny_{name}",
        model=replace(base.model, vocab_size=vocab_size),
        data=replace(base.data, attention_mask="document"),
        optimizer=replace(base.optimizer, weight_decay=0.01),
        train=replace(
            base.train,
            steps=steps,
            checkpoint_every=steps,
            log_every=100,
            neftune_alpha=5.0,
            # Few positions of a row are targets: small chunks skip most of the vocabulary product (EXPERIMENTS.md).
            loss_chunk=128,
            initialize_from=str(start),
        ),
    )


def run(data: Path, out: Path, stages: Stages, synthetic: bool) -> dict[str, Any]:
    """Every stage, and the page.

    Returns:
        {"parameters", "scores": task → {metric, model, majority, random}}.

    Raises:
        InputError: no task of JMED-LLM has both test and training rows.
    """
    recipe = _Recipe(data, out, stages)
    model = recipe.train_model()
    scores = recipe.evaluate(model)
    answer = recipe.export_and_ask(model)
    write_page(out / PAGE, recipe.page(model, scores, answer, synthetic))
    return {"parameters": model.config.num_parameters, "scores": _scores_summary(scores)}


class _Recipe:
    """The stages after the data is there, in their order."""

    def __init__(self, data: Path, out: Path, stages: Stages) -> None:
        self.data = data
        self.out = out
        self.stages = stages
        self.config = pretraining_config()
        found = [name for name in expand_tasks("jmed_llm") if get_task(name).gold_path(data).exists()]
        self.tasks = [name for name in found if get_task(name).train_path(data) is not None]
        if not self.tasks:
            raise InputError(f"{data}/jmed_llm: no task has both a test and a training file.")

    def train_model(self) -> LanguageModel:
        """Corpus to instruction-tuned model."""
        out, length = self.out, self.config.model.context_length
        self._corpus()
        conversations = self._conversations()
        self._tokenizer([file for files in conversations.values() for file in files])
        self.stages.run(
            "Rows for pre-training",
            lambda: pack_corpus(out / "tokenizer", out / "corpus", out / "rows-pretraining", row_length=length),
            describe_rows,
        )
        pretraining = replace(self.config, data=replace(self.config.data, rows=str(out / "rows-pretraining")))
        self._train("Pre-training", pretraining, out / "pretraining")
        run = out / "pretraining"
        for name, files in conversations.items():
            self._tune(name, files, run)
            run = out / name
        return load(run)

    def _tune(self, name: str, files: Sequence[Path], start: Path) -> None:
        """One round of instruction tuning."""
        out, length = self.out, self.config.model.context_length
        rows = self.stages.run(
            f"Rows for round “{name}”",
            lambda: pack_conversations(
                out / "tokenizer", files, out / f"rows-{name}", row_length=length, overlong="truncate"
            ),
            describe_rows,
        )
        config = instruction_config(name, start, rows.config["vocab_size"], rows.counts["rows"])
        config = replace(config, data=replace(config.data, rows=str(rows.path)))
        self._train(f"Instruction tuning, round “{name}”", config, out / name)

    def _corpus(self) -> None:
        sources = plain_sources(smallest_files(self.data / "pretrain"))
        self.stages.run(
            "Corpus",
            lambda: build_corpus(CorpusConfig("quickstart", sources), self.out / "corpus"),
            describe_corpus,
        )

    def _conversations(self) -> dict[str, list[Path]]:
        """Instruction data, a file a round and task: answers evened out, since the test sets are even."""
        limits = {
            self.out / "conversations" / name / f"{task}.jsonl": (task, limit)
            for name, tasks in ROUNDS.items()
            for task, limit in tasks.items()
            if task in self.tasks
        }

        def write() -> int:
            written = 0
            for file, (task, limit) in limits.items():
                counts = write_conversations(
                    [task], self.data, file, balance=True, limit_per_task=limit, prompts=PROMPTS
                )
                written += counts[task]
            return written

        def describe(written: int) -> tuple[str, str]:
            return f"{written:,} conversations", f"training rows of {len(self.tasks)} JMED-LLM tasks"

        self.stages.run("Instruction data", write, describe)
        return {name: [file for file in limits if file.parent.name == name] for name in ROUNDS}

    def _tokenizer(self, conversations: Sequence[Path]) -> None:
        out = self.out
        self.stages.run(
            "Dictionary",
            lambda: build_dictionary([self.data / "dictionary"], out / "dictionary"),
            lambda made: (f"{made.counts['words']:,} words", "disease, drug and other medical terms for MeCab"),
        )

        def texts() -> Iterator[str]:
            yield from iter_corpus(out / "corpus")
            for _, messages in read_conversations(conversations):
                yield from (message["content"] for message in messages if message["role"] == "user")

        self.stages.run(
            "Tokenizer",
            lambda: train_tokenizer(texts(), self.config.tokenizer, out / "tokenizer", dictionary=out / "dictionary"),
            lambda made: (f"{made.counts['pieces']:,} pieces", f"Unigram over {made.counts['words']:,} MeCab words"),
        )

    def _train(self, name: str, config: ExperimentConfig, run: Path) -> None:
        self.stages.run(name, lambda: train(config, run), describe_training)

    def evaluate(self, model: LanguageModel) -> dict[str, Any]:
        """`scores.json` of the JMED-LLM tasks, by task."""
        info = {"name": model.name, "parameters": model.config.num_parameters}
        made = self.stages.run(
            "JMED-LLM",
            lambda: run_tasks(
                OurModel(model),
                self.tasks,
                self.data,
                self.out / "evaluation",
                model_info=info,
                options=Options(max_new_tokens=MAX_NEW_TOKENS, prompts=PROMPTS),
            ),
            lambda _: (f"{len(self.tasks)} tasks", "greedy decoding with a KV cache, batched"),
        )
        return json.loads((made.path / "scores.json").read_text(encoding="utf-8"))["tasks"]

    def export_and_ask(self, model: LanguageModel) -> tuple[str, str]:
        """Export to Hugging Face format, load that again, and let it answer one test question."""
        path = self.stages.run(
            "Hugging Face export",
            lambda: model.save_hf(self.out / "model"),
            lambda made: (megabytes((made / "model.safetensors").stat().st_size), "ArceeForCausalLM and tokenizer"),
        )
        prompt = next(read_jsonl(self.out / "evaluation" / f"prompts-{self.tasks[0]}.jsonl"))[1]["messages"]
        answer = self.stages.run(
            "One answer from the export",
            lambda: load(path).chat([prompt], max_new_tokens=MAX_NEW_TOKENS)[0],
            lambda text: (f"{len(text)} characters", text),
        )
        return prompt[-1]["content"], answer

    def page(
        self, model: LanguageModel, scores: Mapping[str, Any], answer: tuple[str, str], synthetic: bool
    ) -> QuickstartPage:
        """Everything that the page shows."""
        config = model.config
        return QuickstartPage(
            title="jmed_jax quickstart",
            data_note="the synthetic sample that the package ships" if synthetic else self.data.name,
            synthetic=synthetic,
            stages=self.stages.done,
            model={
                "Parameters": f"{config.num_parameters:,}",
                "Layers · hidden · MLP": f"{config.num_layers} · {config.hidden_size} · {config.mlp_size}",
                "Heads · KV heads · head dim": f"{config.num_heads} · {config.num_kv_heads} · {config.head_dim}",
                "Context": f"{config.context_length} tokens",
                "Vocabulary": f"{config.vocab_size:,}",
            },
            pretraining=read_metrics(self.out / "pretraining"),
            instruction=self._tuning_metrics(),
            scores=scores,
            samples=[sample for name in self.tasks for sample in self._samples(name)],
            prompt=answer[0],
            answer=answer[1],
            commands=[
                ("Ask the model", f"jmed chat --model {self.out / 'model'}"),
                ("Train longer", "jmed train configs/ncvc_slm_30m.py --run out/run --data.rows DIR"),
                ("Load it in transformers", f"AutoModelForCausalLM.from_pretrained('{self.out / 'model'}')"),
            ],
        )

    def _tuning_metrics(self) -> list[dict[str, Any]]:
        """The rounds' metrics one after the other, steps and tokens counted through."""
        rows: list[dict[str, Any]] = []
        for name in ROUNDS:
            steps, tokens = (rows[-1]["step"], rows[-1]["tokens"]) if rows else (0, 0)
            for row in read_metrics(self.out / name):
                rows.append({**row, "step": steps + row["step"], "tokens": tokens + row["tokens"]})
        return rows

    def _samples(self, name: str) -> list[Sample]:
        """The first right and the first wrong answer of a task."""
        evaluation = self.out / "evaluation"
        prompts = {row["id"]: row["messages"] for _, row in read_jsonl(evaluation / f"prompts-{name}.jsonl")}
        chosen: dict[bool, Sample] = {}
        for _, row in read_jsonl(evaluation / f"predictions-{name}.jsonl"):
            right = row["prediction"] == row["gold"]
            question = prompts[row["id"]][-1]["content"]
            chosen.setdefault(right, Sample(name, question, row["output"], row["gold"], right))
        return [chosen[right] for right in sorted(chosen, reverse=True)]


def _scores_summary(scores: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {
        name: {
            "metric": score["main_metric"],
            "model": score["metrics"][score["main_metric"]],
            **{kind: metrics[score["main_metric"]] for kind, metrics in score["baselines"].items()},
        }
        for name, score in scores.items()
    }
