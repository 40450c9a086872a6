"""What each stage costs, for `tools/readme_tables.py`: measured where it was run, by `jmed plan` where it was not."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from readme_results import case_of

from jmed_jax.config import ExperimentConfig, load_config
from jmed_jax.hardware import GIB
from jmed_jax.plan.placement import place
from jmed_jax.plan.roofline import MFU_ASSUMED
from jmed_jax.plan.topology import parse_topology
from jmed_jax.plan.training_plan import estimated_plan

Table = tuple[list[str], list[list[str]]]
"""Head and rows."""

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
MINUTE, HOUR, DAY = 60, 3600, 24 * 3600
NOT_RECORDED = "not recorded"


# --- measured ---------------------------------------------------------------------------------------------------------

# What README calls a stage → how the quickstart's and the reproduction's stages of it begin.
STAGES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "text to packed rows": (
        ("Corpus", "Instruction data", "Dictionary", "Tokenizer", "Rows"),
        ("validation", "corpus", "dictionary", "tokenizer", "conversations", "copies", "terms", "rows"),
    ),
    "pre-training": (("Pre-training",), ("clinical_small",)),
    "exercises in copying and extraction": ((), ("clinical_small_exercises",)),
    "instruction tuning": (("Instruction tuning",), ("clinical_small_instruct",)),
    "JMED-LLM answered and scored": (("JMED-LLM",), ("scores",)),
    "export, and one answer from it": (("Hugging Face export", "One answer"), ()),
}
OPTIONAL = ("copies", "terms")
"""Stages of the reproduction that a variant may leave out."""


def measured_costs_table(quickstart: Mapping[str, Any], clinical: Mapping[str, Any]) -> Table:
    """Seconds of the stages of `tools/bench_quickstart.py` and of `tools/reproduce.py --save`."""
    run = clinical["runs"]["clinical_small"]
    clinical_seconds: dict[str, float] = defaultdict(float)
    for name, seconds in run["stages"].items():
        clinical_seconds[_stem(name)] += seconds
    rows = []
    for stage, (begins, names) in STAGES.items():
        quick = [seconds for name, seconds in quickstart["stages"].items() if begins and name.startswith(begins)]
        long = [seconds for name, seconds in clinical_seconds.items() if _is_of(name, names)]
        # A sum without a stage that every recipe has would say too little.
        recorded = all(name in clinical_seconds or name in OPTIONAL for name in names)
        rows.append([stage, _cell(quick, bool(begins), True), _cell(long, bool(names), recorded)])
    peaks = (quickstart["peak_gib"], run.get("peak_gib"))
    rows.append(["peak memory", *(f"{peak:.1f} GiB" if peak else NOT_RECORDED for peak in peaks)])
    head = ["stage", f"quickstart, {quickstart['parameters'] / 1e6:.2f} M parameters"]
    return [*head, f"small clinical model, {run['parameters'] / 1e6:.1f} M parameters"], rows


def _cell(seconds: Sequence[float], has_stage: bool, recorded: bool) -> str:
    if not has_stage:
        return "–"
    return _duration(sum(seconds)) if recorded else NOT_RECORDED


def _stem(name: str) -> str:
    """`terms` of `terms-4237e751.jsonl`."""
    return re.sub(r"-[0-9a-f]{8}(\.\w+)?$", "", name)


def _is_of(name: str, names: tuple[str, ...]) -> bool:
    return name in names or (name.startswith("rows-") and "rows" in names)


# --- planned ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Planned:
    """A training run that was not made to its end.

    Attributes:
        what: the size and the stage.
        changes: fields by section, as the configuration's own docstring names them for this hardware.
        mfu: assumed share of the peak.
        paper: what the paper reports, on its own hardware.
    """

    what: str
    config: str
    topology: str
    changes: Mapping[str, Mapping[str, Any]]
    mfu: float = MFU_ASSUMED
    paper: str = ""


_NO_DROPOUT = {
    "model": {"attention_dropout": 0.0, "residual_dropout": 0.0},
    "data": {"batch_size": 8, "accumulation": 128},
}
_ONE_ROW = {"data": {"batch_size": 1, "accumulation": 8}}
_ONE_ROW_NF4 = {**_ONE_ROW, "lora": {"base": "nf4"}}
_SLM_PAPER = "14 days on 4 RTX 6000 Ada"
_MFPT_PAPER, _MPEFT_PAPER = "7.5 h on 8 GPUs", "28.5 h on 4 GPUs"
RUNS: Sequence[Planned] = (
    Planned("1.2 B, pre-training", "ncvc_slm_1b", "h100x8", {}, MFU_ASSUMED, _SLM_PAPER),
    # The share that the paper reached with these cards (arXiv 2412.16423).
    Planned("1.2 B, pre-training", "ncvc_slm_1b", "rtx6000adax4", {}, 0.22, _SLM_PAPER),
    Planned("1.2 B, instruction tuning", "ncvc_slm_instruct", "h100x1", {}, MFU_ASSUMED, ""),
    Planned("7 B, all parameters on text", "jmedllm_7b_mfpt", "h100x8", {}, MFU_ASSUMED, _MFPT_PAPER),
    Planned("7 B, all parameters on text", "jmedllm_7b_mfpt", "a100-40x8", {}, MFU_ASSUMED, _MFPT_PAPER),
    Planned("7 B, LoRA on questions", "jmedllm_7b_mpeft", "h100x1", {}, MFU_ASSUMED, _MPEFT_PAPER),
    Planned(
        "7 B, LoRA on questions, base in NF4", "jmedllm_7b_mpeft", "rtx4090x1", _ONE_ROW_NF4, MFU_ASSUMED, _MPEFT_PAPER
    ),
)


def planned_costs_table(corpus: Mapping[str, Any], cpu: Mapping[str, Any], gpu: Mapping[str, Any]) -> Table:
    """What larger runs take: from measured speeds, and from `jmed plan` without a compiler.

    Args:
        corpus, cpu, gpu: results of `tools/bench_corpus.py` and of `tools/bench_train.py`.
    """
    head = ["what", "tokens", "on", "memory a device", "time at least", "device hours", "the paper"]
    hours = corpus["projected_hours_for_33_gb"]["2 cores"]
    lora = case_of(gpu, "7 B, LoRA")
    rows = [
        ["the paper's 33 GB of text to packed rows", "", "2 CPU cores", "", f"{hours} h, {MEASURED}", "", ""],
        _by_speed(Planned("30 M, pre-training", "ncvc_slm_30m", "cpu:1", {}), case_of(cpu, "float32")),
        _by_speed(
            Planned("1.2 B, pre-training, no dropout", "ncvc_slm_1b", "h200x1", _NO_DROPOUT, paper=_SLM_PAPER),
            case_of(gpu, "1.2 B"),
        ),
        _by_speed(Planned("7 B, LoRA on questions", "jmedllm_7b_mpeft", "h200x1", _ONE_ROW, paper=_MPEFT_PAPER), lora),
    ]
    rows += [_planned(run) for run in RUNS]
    return head, rows


MEASURED = "by measured speed"


def _by_speed(run: Planned, case: Mapping[str, Any]) -> list[str]:
    plan = _plan(run)
    seconds = plan["training_tokens"] / case["tokens_per_s"]
    memory = plan["bytes_per_device"]["total"] / GIB
    on_cpu = run.topology.startswith("cpu")
    return [
        run.what,
        _tokens(plan["training_tokens"]),
        "2 CPU cores" if on_cpu else _devices(run.topology),
        f"{memory:.1f} GiB" if on_cpu else f"{memory:.0f} GiB",
        f"{_duration(seconds)}, {MEASURED}",
        "" if on_cpu else _hours(seconds / HOUR),
        run.paper,
    ]


def _planned(run: Planned) -> list[str]:
    plan = _plan(run)
    share = "" if run.mfu == MFU_ASSUMED else f" at {run.mfu:.0%}"
    return [
        run.what,
        _tokens(plan["training_tokens"]),
        f"{_devices(run.topology)}{share}",
        f"{plan['bytes_per_device']['total'] / GIB:.0f} GiB",
        _duration(plan["days"] * DAY),
        _hours(plan["days"] * 24 * plan["devices"]),
        run.paper,
    ]


DEVICES = {"h100": "H100", "h200": "H200", "a100-40": "A100 40 GB", "rtx6000ada": "RTX 6000 Ada", "rtx4090": "RTX 4090"}
"""How their makers write them."""


def _devices(topology: str) -> str:
    kind, _, count = topology.rpartition("x")
    return f"{count} × {DEVICES[kind]}"


def _plan(run: Planned) -> dict[str, Any]:
    config = load_config(CONFIGS / f"{run.config}.py", ExperimentConfig)
    sections = {name: replace(getattr(config, name), **fields) for name, fields in run.changes.items()}
    topology = parse_topology(run.topology)
    placed, _ = place(replace(config, **sections), topology.devices)
    plan = estimated_plan(placed, topology, mfu=run.mfu)
    assert plan["fits"], f"{run.what} fits {run.topology}"
    return plan


def _tokens(count: float) -> str:
    return f"{count / 1e9:.1f} G" if count >= 1e9 else f"{count / 1e6:.0f} M"


def _duration(seconds: float) -> str:
    for unit, name in ((DAY, "days"), (HOUR, "h"), (MINUTE, "min")):
        # 33 h says more than 1.4 days; 13.7 days more than 329 h.
        if seconds >= (3 if unit == DAY else 1) * unit:
            return f"{seconds / unit:.{0 if seconds >= 10 * unit and unit != DAY else 1}f} {name}"
    return f"{seconds:.0f} s"


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.1f}"
