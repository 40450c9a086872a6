"""IgakuQA: the physicians' examination, in Japanese and translated into English."""

from jmed_jax.evaluate.protocols.exams import exam_tasks
from jmed_jax.evaluate.protocols.igakuqa_points import PointsTask

SHOTS = "igakuqa/fewshot.jsonl"

# arXiv 2409.11783 asks only questions of text with five choices.
TASKS = (
    PointsTask("igakuqa", "ja", "igakuqa/ja", SHOTS),
    *exam_tasks("igakuqa", "ja", "igakuqa/ja", SHOTS, choices=5),
    PointsTask("igakuqa_en", "en", "igakuqa/en", SHOTS),
    *exam_tasks("igakuqa_en", "en", "igakuqa/en", SHOTS, source="igakuqa", choices=5),
)
