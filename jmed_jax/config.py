"""Frozen dataclasses that describe an experiment: checks and derived sizes, no behaviour.

A file under `configs/` defines `config()`, which returns one complete `ExperimentConfig`. The command line overrides
any field: `jmed train configs/ncvc_slm_tiny.py --optimizer.peak-lr 5e-4`.
"""

import dataclasses
import runpy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from jmed_jax.errors import InputError


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InputError(message)


@dataclass(frozen=True)
class ModelConfig:
    """One decoder for both families; they differ only in these fields.

    The defaults that are not sizes are those of NCVC-slm-1 (arXiv 2412.16423 §2.3).
    """

    vocab_size: int
    num_layers: int
    hidden_size: int
    mlp_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    context_length: int
    gated_mlp: bool = False
    qkv_bias: bool = False
    tie_embeddings: bool = False
    scale_embeddings: bool = True
    """Multiply token embeddings by sqrt(hidden_size)."""
    norm_eps: float = 1e-6
    rope_theta: float = 10_000.0
    attention_dropout: float = 0.1
    residual_dropout: float = 0.1

    def __post_init__(self) -> None:
        for name in ("vocab_size", "num_layers", "hidden_size", "mlp_size", "num_heads", "num_kv_heads", "head_dim"):
            _require(getattr(self, name) > 0, f"model.{name} must be positive, not {getattr(self, name)}.")
        _require(self.context_length > 1, f"model.context_length must be at least 2, not {self.context_length}.")
        _require(
            self.num_heads % self.num_kv_heads == 0,
            f"model.num_heads ({self.num_heads}) must be a multiple of model.num_kv_heads ({self.num_kv_heads}).",
        )
        _require(self.head_dim % 2 == 0, f"model.head_dim must be even for rotary positions, not {self.head_dim}.")
        for name in ("attention_dropout", "residual_dropout"):
            _require(0 <= getattr(self, name) < 1, f"model.{name} must be in [0, 1), not {getattr(self, name)}.")

    @property
    def num_parameters(self) -> int:
        """Every trainable number of the model."""
        D = self.hidden_size
        embeddings = self.vocab_size * D * (1 if self.tie_embeddings else 2)
        return embeddings + self.num_layers * self._layer_parameters + D

    @property
    def _layer_parameters(self) -> int:
        D, H = self.hidden_size, self.head_dim
        qkv_width = (self.num_heads + 2 * self.num_kv_heads) * H
        attention = D * qkv_width + self.num_heads * H * D + (qkv_width if self.qkv_bias else 0)
        mlp = (3 if self.gated_mlp else 2) * D * self.mlp_size
        return attention + mlp + 2 * D

    def flops_per_token(self, sequence_length: int, *, frozen: bool = False) -> int:
        """Training FLOPs a token, forward and backward: `6·P + 6·L·T·N·H`.

        P are the parameters that multiply (the token embedding is a look-up and does not count; a tied head does);
        the second term is causal attention, half of the full square.

        Args:
            frozen: with an adapter, weights need no gradient of their own: `4·P`. The adapter's work, a few per cent,
                does not count.
        """
        multiplying = self.num_parameters - (0 if self.tie_embeddings else self.vocab_size * self.hidden_size)
        attention = self.num_layers * sequence_length * self.num_heads * self.head_dim
        return (4 if frozen else 6) * multiplying + 6 * attention

    def kv_cache_bytes(self, batch: int, length: int, bytes_per_number: int = 2) -> int:
        """Bytes of the keys and values of `batch` sequences of `length` tokens."""
        return 2 * self.num_layers * batch * length * self.num_kv_heads * self.head_dim * bytes_per_number


@dataclass(frozen=True)
class TokenizerConfig:
    """Unigram tokenizer over MeCab words (arXiv 2412.16423 §2.2)."""

    vocab_size: int = 32_768
    """Pieces of the Unigram model, special and byte pieces included; the chat tokens come on top."""
    shrinking_factor: float = 0.75
    max_piece_length: int = 16
    num_sub_iterations: int = 8
    max_training_words: int = 15_000_000
    """Word counts are scaled to about this total: sentencepiece expands words by their count (memory, time)."""

    def __post_init__(self) -> None:
        _require(self.vocab_size > 300, f"tokenizer.vocab_size must exceed 300, not {self.vocab_size}.")
        _require(0 < self.shrinking_factor < 1, "tokenizer.shrinking_factor must be between 0 and 1.")


@dataclass(frozen=True)
class DataConfig:
    """Packed rows and how a batch is made of them."""

    rows: str = ""
    """Directory made by `jmed pack`."""
    batch_size: int = 8
    """Rows in one forward and backward pass, over all devices."""
    accumulation: int = 1
    """Passes in one optimiser step."""
    attention_mask: Literal["causal", "document"] = "causal"
    """"causal": the paper's plain window over the packed row. "document": no attention across documents."""
    validation_rows: str = ""
    """Directory made by `jmed pack` of text held out, for `train.validate_every`."""
    validation_limit: int = 512
    """At most so many rows of it count, evenly spaced."""

    def __post_init__(self) -> None:
        _require(self.batch_size > 0, f"data.batch_size must be positive, not {self.batch_size}.")
        _require(self.accumulation > 0, f"data.accumulation must be positive, not {self.accumulation}.")
        _require(self.validation_limit > 0, f"data.validation_limit must be positive, not {self.validation_limit}.")

    @property
    def rows_per_step(self) -> int:
        return self.batch_size * self.accumulation


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW with linear warm-up and a named schedule."""

    peak_lr: float = 1e-3
    final_lr: float = 0.0
    warmup_steps: int = 0
    schedule: Literal["cosine", "linear", "constant", "wsd"] = "cosine"
    """After the warm-up: down to `final_lr` over the rest of the run along a cosine or a line; "constant" stays at the
    peak; "wsd" (warm-up, stable, decay) stays there until the last `decay_steps` steps."""
    decay_steps: int = 0
    """Steps of the linear decay that ends a "wsd" schedule; 10 to 20 % of the run is usual (arXiv 2405.18392 §4)."""
    beta1: float = 0.9
    beta2: float = 0.95
    epsilon: float = 1e-8
    weight_decay: float = 0.1
    decay_norms_and_embeddings: bool = True
    """False: no weight decay on norm scales, biases and the token embedding."""
    moments_dtype: Literal["float32", "bfloat16"] = "float32"
    """Of Adam's two moments as they are kept between steps; the arithmetic is float32 (`train/optimizer.py`)."""
    clip_norm: float = 1.0
    """Global gradient norm above which gradients are scaled down (the papers are silent: our choice)."""

    def __post_init__(self) -> None:
        _require(
            (self.decay_steps > 0) == (self.schedule == "wsd"),
            f'optimizer.decay_steps belongs to optimizer.schedule "wsd", which needs it: here they are '
            f'{self.decay_steps} and "{self.schedule}".',
        )
        _require(self.peak_lr > 0, f"optimizer.peak_lr must be positive, not {self.peak_lr}.")
        _require(self.warmup_steps >= 0, f"optimizer.warmup_steps must not be negative, not {self.warmup_steps}.")
        _require(self.clip_norm > 0, f"optimizer.clip_norm must be positive, not {self.clip_norm}.")


LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The linear layers of a block, by the names that PEFT and Hugging Face checkpoints give them."""


@dataclass(frozen=True)
class LoraConfig:
    """Low-rank adapters beside frozen weights (LoRA, arXiv 2106.09685), in PEFT's meaning of every word."""

    rank: int = 0
    """0 trains every parameter and has no adapter."""
    alpha: float = 16.0
    """The product of the two low-rank matrices is multiplied by alpha / rank."""
    dropout: float = 0.0
    """Of what goes into an adapter."""
    targets: tuple[str, ...] = LORA_TARGETS
    rank_stabilized: bool = False
    """Multiply by alpha / sqrt(rank) instead (rsLoRA, arXiv 2312.03732)."""
    dora: bool = False
    """Train a magnitude an output beside the direction (DoRA, arXiv 2402.09353)."""
    base: Literal["float32", "bfloat16", "int8", "nf4"] = "bfloat16"
    """How the frozen weights are kept: the kernels of the blocks in int8 or 4-bit NormalFloat (QLoRA, arXiv 2305.14314
    §3), what else there is then in bfloat16."""

    def __post_init__(self) -> None:
        _require(self.rank >= 0, f"lora.rank must not be negative, not {self.rank}.")
        _require(self.alpha > 0, f"lora.alpha must be positive, not {self.alpha}.")
        _require(0 <= self.dropout < 1, f"lora.dropout must be in [0, 1), not {self.dropout}.")
        unknown = sorted(set(self.targets) - set(LORA_TARGETS))
        _require(
            bool(self.targets) and not unknown,
            f"lora.targets must be some of {', '.join(LORA_TARGETS)}, not {', '.join(unknown) or 'none'}.",
        )

    def check_targets(self, model: ModelConfig) -> None:
        """
        Raises:
            InputError: the architecture lacks a target.
        """
        others = ",".join(name for name in self.targets if name != "gate_proj")
        _require(
            model.gated_mlp or "gate_proj" not in self.targets,
            f"lora.targets has gate_proj, but this model's MLP has no gate. Use --lora.targets {others}.",
        )

    @property
    def scale(self) -> float:
        """What the product of the two low-rank matrices is multiplied by."""
        return self.alpha / (self.rank**0.5 if self.rank_stabilized else self.rank)


@dataclass(frozen=True)
class MeshConfig:
    """Devices as `data × fsdp × tensor`, and what is sharded over them."""

    mode: Literal["ddp", "zero2", "fsdp"] = "ddp"
    """"ddp": everything replicated. "zero2": optimiser state sharded, parameters replicated. "fsdp": both sharded."""
    data: int = -1
    """-1: all the devices that the other two leave."""
    fsdp: int = 1
    tensor: int = 1

    def __post_init__(self) -> None:
        _require(self.data == -1 or self.data > 0, f"mesh.data must be positive or -1, not {self.data}.")
        for name in ("fsdp", "tensor"):
            _require(getattr(self, name) > 0, f"mesh.{name} must be positive, not {getattr(self, name)}.")


@dataclass(frozen=True)
class TrainConfig:
    """The training loop."""

    steps: int = 1000
    seed: int = 0
    compute_dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """Of activations and products; parameters and optimiser state are float32."""
    neftune_alpha: float = 0.0
    """Uniform noise of magnitude alpha / sqrt(L·d) on the embeddings (arXiv 2310.05914); 0 is off."""
    length_normalization: float = 0.0
    """Every target of a conversation weighs 1 / (their number ** this): at 0 all tokens count alike, at 1 all
    conversations, so that an answer of one letter is not drowned by lists of thirty tokens."""
    loss_chunk: int = 1024
    """Tokens of one device whose logits exist at one time."""
    remat: Literal["none", "dots", "attention", "full"] = "none"
    """What the backward pass computes again: nothing, all but a layer's matrix products, all but those of its
    attention, or all of a layer (`models/remat.py`)."""
    attention: Literal["auto", "reference", "chunked", "cudnn", "splash"] = "auto"
    """Implementation: the whole mask at once, chunks of queries (both on any device), cuDNN's on NVIDIA GPUs, splash on
    TPUs; "auto": the fastest that does what this configuration says (`models/attention_choice.py`)."""
    log_every: int = 10
    checkpoint_every: int = 500
    keep_checkpoints: int = 3
    keep_every: int = 0
    """Checkpoints at multiples of this many steps are kept for ever; 0 keeps none beside the last ones."""
    initialize_from: str = ""
    """Run or Hugging Face directory whose parameters this run starts from; new vocabulary rows are freshly made."""
    validate_every: int = 0
    """Steps between two losses on `data.validation_rows`; 0 is never."""

    max_skipped: int = 10
    """Consecutive steps whose loss or gradients are not finite, and which are therefore not applied, before the run
    stops."""
    statistics_every: int = 0
    """Norms of gradients, updates and parameters by layer every so many steps; 0 never computes them."""
    spike_window: int = 128
    """Losses of the last steps from which the median and the spread of a usual loss are taken."""
    spike_threshold: float = 10.0
    """A loss this many (scaled) median absolute deviations above the median is a spike; 0 looks for none."""
    rewind_on_spike: bool = False
    """Go back to the last checkpoint before a spike and leave out the batches that led to it."""
    spike_batches: int = 2
    """Batches left out by a rewind, the spike's own being the last. The loss of a step is computed with the parameters
    that the step before it made, so both are suspects; PaLM left out 200 to 500 (arXiv 2204.02311 §5.1)."""
    max_rewinds: int = 3
    """Rewinds in the whole run; after that, spikes are only reported."""
    hang_timeout_s: float = 0.0
    """Seconds without a finished step after which the stacks of all threads are written; 0 watches nothing."""
    hang_abort: bool = False
    """End the process, with exit code 1, after writing them."""

    def __post_init__(self) -> None:
        positive = ("steps", "loss_chunk", "log_every", "checkpoint_every", "keep_checkpoints", "max_skipped")
        for name in (*positive, "spike_batches"):
            _require(getattr(self, name) > 0, f"train.{name} must be positive, not {getattr(self, name)}.")
        for name in ("statistics_every", "spike_threshold", "max_rewinds", "hang_timeout_s"):
            _require(getattr(self, name) >= 0, f"train.{name} must not be negative, not {getattr(self, name)}.")
        _require(self.spike_window >= 8, f"train.spike_window must be at least 8, not {self.spike_window}.")
        _require(
            0 <= self.length_normalization <= 1,
            f"train.length_normalization must be between 0 and 1, not {self.length_normalization}.",
        )
        _require(self.neftune_alpha >= 0, f"train.neftune_alpha must not be negative, not {self.neftune_alpha}.")
        _require(self.validate_every >= 0, f"train.validate_every must not be negative, not {self.validate_every}.")


@dataclass(frozen=True)
class ExperimentConfig:
    """All that `jmed train` needs; echoed at start and saved with the run."""

    name: str
    model: ModelConfig
    data: DataConfig = field(default_factory=DataConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    mesh: MeshConfig = field(default_factory=MeshConfig)
    lora: LoraConfig = field(default_factory=LoraConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)

    def __post_init__(self) -> None:
        if self.lora.rank > 0:
            self.lora.check_targets(self.model)
        _require(
            self.optimizer.warmup_steps <= self.train.steps,
            f"optimizer.warmup_steps ({self.optimizer.warmup_steps}) exceeds train.steps ({self.train.steps}).",
        )
        for name in ("num_heads", "num_kv_heads", "mlp_size"):
            _require(
                getattr(self.model, name) % self.mesh.tensor == 0,
                f"model.{name} ({getattr(self.model, name)}) does not divide over mesh.tensor ({self.mesh.tensor}).",
            )
        _require(
            bool(self.data.validation_rows) == (self.train.validate_every > 0),
            "data.validation_rows and train.validate_every belong together: set both, or neither.",
        )
        _require(
            self.optimizer.warmup_steps + self.optimizer.decay_steps <= self.train.steps,
            f"optimizer.warmup_steps ({self.optimizer.warmup_steps}) and optimizer.decay_steps "
            f"({self.optimizer.decay_steps}) together exceed train.steps ({self.train.steps}).",
        )

    @property
    def tokens_per_step(self) -> int:
        return self.data.rows_per_step * self.model.context_length

    @property
    def flops_per_token(self) -> int:
        """Of this experiment's rows: `ModelConfig.flops_per_token`."""
        return self.model.flops_per_token(self.model.context_length, frozen=self.lora.rank > 0)


def to_dict(config: Any) -> dict[str, Any]:
    """A configuration as nested dictionaries, as they come back from JSON: it knows only lists."""
    values = {
        name: to_dict(value) if dataclasses.is_dataclass(value) else value for name, value in vars(config).items()
    }
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def from_dict(values: Mapping[str, Any]) -> ExperimentConfig:
    """The inverse of `to_dict` for a saved experiment.

    Raises:
        InputError: a field is unknown or missing.
    """
    sections = {
        "model": ModelConfig,
        "data": DataConfig,
        "optimizer": OptimizerConfig,
        "train": TrainConfig,
        "mesh": MeshConfig,
        "lora": LoraConfig,
        "tokenizer": TokenizerConfig,
    }
    try:
        parts = {name: cls(**_with_tuples(values[name])) for name, cls in sections.items()}
        return ExperimentConfig(name=values["name"], **parts)
    except (TypeError, KeyError) as error:
        raise InputError(f"this configuration does not fit this version of jmed_jax: {error}.") from error


def _with_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields are tuples, which can be hashed."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


Config = TypeVar("Config")

SHIPPED = Path(__file__).with_name("configs")
"""The files of configs/, which an installed package holds, too."""


def load_config(path: Path, kind: type[Config]) -> Config:
    """Run a configuration file and return what its `config()` returns.

    Args:
        path: where there is no such file, `configs/NAME.py` is the package's own.
        kind: what that must be, e.g. `ExperimentConfig`.

    Raises:
        InputError: no such file, no `config` function in it, it fails, or it returns something else.
    """
    if not path.is_file():
        shipped = SHIPPED / path.name
        if path.parent != Path("configs") or not shipped.is_file():
            raise InputError(f"{path}: no such configuration file. Those of jmed_jax are in {SHIPPED}.")
        path = shipped
    try:
        function = runpy.run_path(str(path)).get("config")
        config = function() if callable(function) else None
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:
        # The file is the user's program: what goes wrong in it is theirs to mend.
        raise InputError(f"{path}: fails with {type(error).__name__}: {error}. `--debug` shows where.") from error
    if function is None:
        raise InputError(f"{path}: defines no config() function.")
    if not isinstance(config, kind):
        raise InputError(f"{path}: config() returns {type(config).__name__}, not {kind.__name__}.")
    return config
