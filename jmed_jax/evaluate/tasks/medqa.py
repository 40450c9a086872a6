"""MedQA (USMLE) with five options and with four; its solved examples are development and training rows."""

from jmed_jax.evaluate.protocols.exams import exam_tasks

TASKS = (
    *exam_tasks("medqa", "en", "medqa/test.jsonl", "medqa/dev.jsonl"),
    *exam_tasks("medqa_4", "en", "medqa/test.jsonl", "medqa/train_subset.jsonl"),
)
