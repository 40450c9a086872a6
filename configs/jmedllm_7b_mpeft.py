"""JMedLLM-v1-7B, stage 2: LoRA on medical exam questions in Japanese (arXiv 2409.11783).

The paper: 5 epochs over the USMLE questions of MedQA, translated, 28.5 h on 4 GPUs; rank, targets, learning rate and
batch are ours, each with its source below. The loss is of the answers alone.

    jmed data translate train.jsonl --set medqa --to ja --endpoint URL --endpoint-model NAME --out out/medqa_ja.jsonl
    jmed data instructions --source questions=out/medqa_ja.jsonl --language ja --exclude-test test/ --out out/ja.jsonl
    jmed pack --mode fit --tokenizer Qwen2-7B-Instruct --conversations out/ja.jsonl --row-length 2048 --out out/rows-ja
    jmed train configs/jmedllm_7b_mpeft.py --run out/mpeft --data.rows out/rows-ja \\
        --train.initialize-from out/mfpt --train.steps STEPS

STEPS are `steps_of(rows)` below, 5 · rows / 8 rounded up. On one card of 24 GB:
`--lora.base nf4 --data.batch-size 1 --data.accumulation 8`.

The experiments that the paper leaves open, each one line (the rest of the command stays):

    MPEFT without MFPT   --train.initialize-from Qwen2-7B-Instruct
    rank                 for rank in 1 4 16 64 256; do jmed train … --run out/rank-$rank --lora.rank $rank; done
    language             --data.rows out/rows-ja | out/rows-en | out/rows-both   (jmed data instructions --language)
    few-shot             --data.rows out/rows-3shot                              (jmed data instructions --shots 3)
    chain of thought     --data.rows out/rows-cot                                (jmed data instructions --target cot)
    72B                  jmed train configs/jmedllm_72b_mpeft.py …               (its base in 4 bits)

and compared by `jmed evaluate report`.
"""

import math

from jmed_jax.config import DataConfig, ExperimentConfig, LoraConfig, MeshConfig, OptimizerConfig, TrainConfig
from jmed_jax.models.qwen2 import qwen2

EPOCHS = 5
# 10,178 training questions of MedQA, about three and a half to a row: 209 tokens each in English (measured with Qwen2's
# tokenizer), about twice as many in Japanese, and as many again for the prompt and the answer.
ROWS_OF_THE_PAPER = 2_900
# About 28 questions a step. QLoRA takes 16 examples (arXiv 2305.14314); low-rank adapters bear large batches worse than
# full training does (Schulman et al., "LoRA Without Regret", 2025).
ROWS_PER_STEP = 8


def steps_of(rows: int) -> int:
    return math.ceil(EPOCHS * rows / ROWS_PER_STEP)


def config() -> ExperimentConfig:
    steps = steps_of(ROWS_OF_THE_PAPER)
    return ExperimentConfig(
        name="jmedllm_7b_mpeft",
        model=qwen2("7B", context_length=2048),
        # One row a GPU of four, twice. Conversations that share a row do not see each other.
        data=DataConfig(batch_size=4, accumulation=2, attention_mask="document"),
        lora=LoraConfig(
            # For some thousand short answers 16 and 256 learn alike until the adapter is full ("LoRA Without Regret").
            rank=16,
            # With the product scaled by alpha / rank, 32 has one best learning rate for every rank (ibid.); at rank 16
            # it is the usual 2 · rank (arXiv 2405.09673).
            alpha=32.0,
            # QLoRA's for models of 7B and 13B (arXiv 2305.14314).
            dropout=0.1,
            # All seven linear layers, the default: attention alone learns less (2305.14314; 2405.09673; 2025).
            base="bfloat16",
        ),
        optimizer=OptimizerConfig(
            # Ten times that of full training ("LoRA Without Regret"), which is 1e-5 in jmedllm_7b_mfpt.py; QLoRA has
            # 2e-4 for 7B, where the product is scaled by a quarter, here by two.
            peak_lr=1e-4,
            # QLoRA's: 3 % of warm-up, then constant; β2 0.999; no weight decay; clipping at 0.3.
            schedule="constant",
            warmup_steps=steps * 3 // 100,
            beta1=0.9,
            beta2=0.999,
            weight_decay=0.0,
            clip_norm=0.3,
        ),
        train=TrainConfig(
            steps=steps,
            compute_dtype="bfloat16",
            remat="full",
            checkpoint_every=steps // EPOCHS,
            keep_checkpoints=EPOCHS,
        ),
        # As many GPUs as there are; each holds the frozen weights, 14.2 GiB in bfloat16.
        mesh=MeshConfig(mode="ddp"),
    )
