"""Multiple-choice questions as conversations: the one rendering that both training data and evaluation use.

Two styles. "gestalt_cot" is that of arXiv 2409.11783: a zero-shot chain-of-thought prompt after Med-PaLM (arXiv
2212.13138), choices joined by commas, the answer given as the text of a choice. "letters" lists lettered choices and
wants the letter, as JMED-LLM does. The wording is data: the package's own (`exam_prompts.json`), or a file like it.
"""

import hashlib
import json
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from jmed_jax.errors import InputError
from jmed_jax.evaluate.exams.question import Language, MultipleChoiceQuestion
from jmed_jax.evaluate.prompts import Conversation, read_prompt_file

Style = Literal["gestalt_cot", "letters"]
STYLES: tuple[Style, ...] = get_args(Style)

DEFAULT_EXAM_PROMPTS = Path(__file__).with_name("exam_prompts.json")


@dataclass(frozen=True)
class ExamPrompt:
    """The wording for one style and language.

    Attributes:
        system: "" for no system message.
        user: its fields are {question} and {choices}.
        response_marker: stands before the answer in what the model writes; "" where the answer is all that it writes.
    """

    system: str
    user: str
    response_marker: str


ExamPrompts = Mapping[str, ExamPrompt]
"""By "STYLE.LANGUAGE"."""


def load_exam_prompts(path: Path | None = None, names: Sequence[str] | None = None) -> ExamPrompts:
    """Read a prompt file: {"STYLE.LANGUAGE": {"system", "user", "response_marker"}}; None reads the package's own.

    Args:
        names: those that are needed; all if None.

    Raises:
        InputError: not such a file, a name is missing, or a template lacks a field or has one that does not exist.
    """
    path = path or DEFAULT_EXAM_PROMPTS
    entries = read_prompt_file(path)
    prompts = {}
    for name in names or read_prompt_file(DEFAULT_EXAM_PROMPTS):
        try:
            entry = entries[name]
            prompt = ExamPrompt(*(str(entry[key]) for key in ("system", "user", "response_marker")))
            rendered = prompt.user.format(question="\0", choices="\1")
            if "\0" not in rendered or "\1" not in rendered:
                raise ValueError("a field is missing")
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise InputError(
                f'{path}: prompt "{name}" needs the texts "system", "user" and "response_marker"; "user" has the '
                f"fields {{question}} and {{choices}} ({error!r})."
            ) from error
        prompts[name] = prompt
    return prompts


def prompts_sha256(prompts: ExamPrompts) -> str:
    """Hex sha256 of the wording: what provenance calls the prompt hash."""
    parts = {name: [prompt.system, prompt.user, prompt.response_marker] for name, prompt in sorted(prompts.items())}
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()


def exam_messages(
    question: MultipleChoiceQuestion,
    prompts: ExamPrompts,
    style: Style,
    *,
    examples: Sequence[MultipleChoiceQuestion] = (),
    with_explanation: bool = False,
) -> Conversation:
    """The whole prompt: system message, solved examples in turn, and the question.

    Args:
        examples: in the question's language.
        with_explanation: the examples' answers explain themselves, where their source does.
    """
    prompt = _prompt_of(prompts, style, question.language)
    messages = [{"role": "system", "content": prompt.system}] if prompt.system else []
    for example in examples:
        assert example.language == question.language
        answer = exam_answer(example, prompts, style, with_explanation=with_explanation)
        messages += [_ask(example, prompt, style), {"role": "assistant", "content": answer}]
    return [*messages, _ask(question, prompt, style)]


def exam_answer(
    question: MultipleChoiceQuestion, prompts: ExamPrompts, style: Style, *, with_explanation: bool = False
) -> str:
    """What a perfect model writes: the target of instruction tuning, and the answers of few-shot examples.

    "letters" knows no explanation: its evaluation reads the first letter of the output, wherever that stands.
    """
    prompt = _prompt_of(prompts, style, question.language)
    if style == "letters":
        return ",".join(letter.upper() for letter in question.answer)
    answer = f"{prompt.response_marker} {','.join(question.answer_texts)}".strip()
    return f"{question.explanation}\n{answer}" if with_explanation and question.explanation else answer


def read_response(output: str, response_marker: str) -> str:
    """The answer in a model's output: the first line of what follows the last response marker, or of all of it.

    arXiv 2409.11783 takes the first line after the marker that ends its prompt; here the model writes the marker itself
    behind its reasoning, where a Japanese one as often puts a full-width colon.
    """
    marker = re.sub("[:：]", "[:：]", re.escape(response_marker))
    behind = re.split(marker, output)[-1] if response_marker else output
    return next((line.strip() for line in behind.splitlines() if line.strip()), "")


def _prompt_of(prompts: ExamPrompts, style: Style, language: Language) -> ExamPrompt:
    return prompts[f"{style}.{language}"]


def _ask(question: MultipleChoiceQuestion, prompt: ExamPrompt, style: Style) -> dict[str, str]:
    if style == "gestalt_cot":
        choices = ",".join(question.choices)
    else:
        lettered = zip(string.ascii_uppercase, question.choices, strict=False)
        choices = "\n".join(f"{letter}. {text}" for letter, text in lettered)
    return {"role": "user", "content": prompt.user.format(question=question.text, choices=choices)}
