"""MedMCQA: its development rows are what everybody evaluates on; the key of its test rows is not public."""

from jmed_jax.evaluate.protocols.exams import exam_tasks

TASKS = exam_tasks("medmcqa", "en", "medmcqa/dev.jsonl", "medmcqa/train.jsonl")
