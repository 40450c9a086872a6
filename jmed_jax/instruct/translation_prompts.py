"""The wording with which a model is asked to translate. It is data: the package's own, or a file of the same shape."""

import hashlib
import json
import string
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path

from jmed_jax.backends.protocol import Message
from jmed_jax.errors import InputError
from jmed_jax.evaluate.exams.question import LANGUAGES, Language, MultipleChoiceQuestion
from jmed_jax.jsonl import read_json

DEFAULT_TRANSLATION_PROMPTS = Path(__file__).with_name("translation_prompts.json")


@dataclass(frozen=True)
class TranslationPrompt:
    """The wording for one target language.

    Attributes:
        user: its field is {question}, a JSON object: "question", "choices" (letter → text) and, where there is one,
            "explanation".
        retry: what is said when a translation failed a check; its field is {problem}.
    """

    system: str
    user: str
    retry: str

    @property
    def sha256(self) -> str:
        """Of the wording, for provenance."""
        return hashlib.sha256(json.dumps(astuple(self), ensure_ascii=False).encode()).hexdigest()

    def ask(self, question: MultipleChoiceQuestion) -> list[Message]:
        """The conversation that asks for a translation."""
        asked = json.dumps(translatable(question), ensure_ascii=False, indent=1)
        user = self.user.format(question=asked)
        return [{"role": "system", "content": self.system}, {"role": "user", "content": user}]

    def ask_again(self, question: MultipleChoiceQuestion, answer: str, problem: str) -> list[Message]:
        """The conversation that goes on after an answer that cannot be used."""
        retry = {"role": "user", "content": self.retry.format(problem=problem)}
        return [*self.ask(question), {"role": "assistant", "content": answer}, retry]


def translatable(question: MultipleChoiceQuestion) -> dict[str, object]:
    """What of a question is translated: never the key, so a model cannot lean to it."""
    lettered = dict(zip(string.ascii_uppercase, question.choices, strict=False))
    explained = {"explanation": question.explanation} if question.explanation else {}
    return {"question": question.text, "choices": lettered, **explained}


def load_translation_prompts(path: Path | None = None) -> Mapping[Language, TranslationPrompt]:
    """Read a prompt file: {"ja" and "en": {"system", "user", "retry"}}; None reads the package's own.

    Raises:
        InputError: not such a file, a language is missing, or a template has a field that does not exist.
    """
    path = path or DEFAULT_TRANSLATION_PROMPTS
    entries = read_json(path)
    try:
        prompts = {
            language: TranslationPrompt(*(str(entries[language][key]) for key in ("system", "user", "retry")))
            for language in LANGUAGES
        }
        for prompt in prompts.values():
            if "\0" not in prompt.user.format(question="\0") or "\0" not in prompt.retry.format(problem="\0"):
                raise ValueError("a field is missing")
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(
            f'{path}: expected "ja" and "en", each with the texts "system", "user" (field {{question}}) and "retry" '
            f"(field {{problem}}) ({error!r})."
        ) from error
    return prompts
