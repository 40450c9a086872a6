"""Every question set can be put under two protocols."""

from jmed_jax.evaluate.exams.question import Language
from jmed_jax.evaluate.protocols.gestalt_cot import GestaltTask
from jmed_jax.evaluate.protocols.loglikelihood import LikelihoodTask
from jmed_jax.evaluate.protocols.multiple_choice import MultipleChoiceTask


def exam_tasks(
    name: str, language: Language, gold: str, shots: str = "", *, source: str = "", choices: int = 0
) -> tuple[MultipleChoiceTask, ...]:
    """The task of a question set under `gestalt_cot` (the default) and `loglikelihood`.

    Args:
        source: the set's name, where the task has another.
        choices: as in `MultipleChoiceTask`.
    """
    return (
        GestaltTask(name, language, gold, shots, source=source or name, choices=choices),
        LikelihoodTask(name, language, gold, shots, source=source or name, choices=choices),
    )
