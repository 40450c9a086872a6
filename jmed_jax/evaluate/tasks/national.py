"""Other Japanese examinations: the 119th physicians', the dentists', and internal medicine's self-assessment."""

from jmed_jax.evaluate.protocols.exams import exam_tasks

TASKS = (
    *exam_tasks("igakuqa119", "ja", "igakuqa119/questions.jsonl", "igakuqa/fewshot.jsonl"),
    *exam_tasks("denqa", "ja", "denqa/questions.jsonl"),
    *exam_tasks("jjsimqa", "ja", "jjsimqa/questions.jsonl"),
)
