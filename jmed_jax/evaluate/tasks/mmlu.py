"""The health subjects of MMLU, and of JMMLU, whose rows name the English ones: a question's `pair`."""

from jmed_jax.evaluate.protocols.exams import exam_tasks

TASKS = (
    *exam_tasks("mmlu", "en", "mmlu/test", "mmlu/dev"),
    *exam_tasks("jmmlu", "ja", "jmmlu/test", "jmmlu/dev"),
)
