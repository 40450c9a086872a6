"""JMedLLM-v1-7B, stage 1: full-parameter continued pre-training of Qwen2-7B-Instruct (arXiv 2409.11783).

The paper: 5 epochs over 6,120 lines, 3.5 M characters, of a Japanese journal of internal medicine, 7.5 h on 8 GPUs. It
is silent on learning rate, schedule and batch: ours, each with its source below. Its text is not public; yours, one
document a line, takes its place:

    jmed pack --mode documents --tokenizer Qwen2-7B-Instruct --corpus out/corpus --row-length 2048 --out out/rows
    jmed train configs/jmedllm_7b_mfpt.py --run out/mfpt --data.rows out/rows \\
        --train.initialize-from Qwen2-7B-Instruct --train.steps STEPS

STEPS are `steps_of(rows)` below, 5 · rows / 32 rounded up: `jmed pack` says how many rows there are.

It fits 8 cards of 40 GB or more as it is (`jmed plan configs/jmedllm_7b_mfpt.py --topology a100-40x8`: 22.2 GiB a card,
compiled), and narrowly one H200 (115 GiB) with
`--mesh.fsdp 1 --data.batch-size 1 --data.accumulation 32 --optimizer.moments-dtype bfloat16`. Sixteen v5e are too small
(17.1 of 15.7 GiB, compiled); 256 should, by estimate alone, with
`--mesh.fsdp 256 --data.batch-size 256 --data.accumulation 1`, which is eight times the rows a step.
"""

import math

from jmed_jax.config import DataConfig, ExperimentConfig, MeshConfig, OptimizerConfig, TrainConfig
from jmed_jax.models.qwen2 import qwen2

EPOCHS = 5
# 3.5 M characters at 0.79 tokens each (measured with Qwen2's tokenizer on Japanese texts on intractable diseases), in
# rows of 2048.
ROWS_OF_THE_PAPER = 1_350
# 64 k tokens. The paper's text gives 211 such steps; of the 2 M tokens of `ncvc_slm_1b.py` it would give 7.
ROWS_PER_STEP = 32


def steps_of(rows: int) -> int:
    return math.ceil(EPOCHS * rows / ROWS_PER_STEP)


def config() -> ExperimentConfig:
    steps = steps_of(ROWS_OF_THE_PAPER)
    return ExperimentConfig(
        name="jmedllm_7b_mfpt",
        model=qwen2("7B", context_length=2048),
        # Two rows a GPU, twice. Articles that share a row do not see each other.
        data=DataConfig(batch_size=16, accumulation=2, attention_mask="document"),
        optimizer=OptimizerConfig(
            # An instruction-tuned model that is to stay one: near the 7e-6 at which Qwen2 itself was tuned (arXiv
            # 2407.10671), far below the 3e-4 of 48 B tokens of medical pre-training from a base model of this size
            # (Meditron, arXiv 2311.16079).
            peak_lr=1e-5,
            # Cosine to a tenth of the peak, β2 0.95, weight decay 0.1 and clipping at 1: Meditron and Qwen2 alike.
            final_lr=1e-6,
            # 5 %: Meditron's 2,000 steps are of a run a hundred times as long.
            warmup_steps=steps // 20,
            beta1=0.9,
            beta2=0.95,
            weight_decay=0.1,
            clip_norm=1.0,
        ),
        # Several epochs over a small, good text are what recovers fastest in medical continued pre-training (arXiv
        # 2406.14833): a checkpoint an epoch shows which was best.
        train=TrainConfig(
            steps=steps,
            compute_dtype="bfloat16",
            remat="full",
            checkpoint_every=steps // EPOCHS,
            keep_checkpoints=EPOCHS,
        ),
        mesh=MeshConfig(mode="fsdp", data=1, fsdp=8),
    )
