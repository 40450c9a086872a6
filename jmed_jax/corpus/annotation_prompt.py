"""What an annotator is asked, and how its answer is read: strictly, so that nothing is guessed."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jmed_jax.backends.protocol import Message
from jmed_jax.errors import InputError
from jmed_jax.jsonl import read_json

DEFAULT_PROMPT = Path(__file__).with_name("annotation_prompt.json")
LABELS = ("high", "low")

Malformed = Literal["not Japanese", "both labels", "chatter", "no label"]

_JAPANESE = re.compile("[ぁ-ゖァ-ヺ一-鿿]")
# Reasoning that a server did not take out; what counts is what follows it.
_REASONING = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
# Quotes and full stops around a word do not make it another word.
_AROUND = " \t\n\r\"'`*。.、,!:;「」『』【】()[]<>《》"


@dataclass(frozen=True)
class AnnotationPrompt:
    """The wording of the question.

    Attributes:
        system: may be empty.
        user: template with the field {text}.
        labels: "high" and "low" → the word that the annotator answers.
        reminders: what is added when the first, second, … answer was malformed.
    """

    system: str
    user: str
    labels: Mapping[str, str]
    reminders: Sequence[str]

    def messages(self, text: str, attempt: int = 0) -> list[Message]:
        """The question about a text; from attempt 1 on with a reminder."""
        question = self.user.format(text=text)
        if attempt:
            question += "\n\n" + self.reminders[attempt - 1]
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, {"role": "user", "content": question}]

    def read(self, answer: str) -> tuple[str | None, Malformed | None]:
        """(label, None) of an answer that is one label and nothing else, or (None, what is wrong with it)."""
        text = unicodedata.normalize("NFKC", _REASONING.sub("", answer)).strip(_AROUND)
        words = {label: unicodedata.normalize("NFKC", word) for label, word in self.labels.items()}
        for label, word in words.items():
            if text == word:
                return label, None
        named = [label for label, word in words.items() if word in text]
        if len(named) > 1:
            return None, "both labels"
        if named:
            # "高品質とは言えない" names a label too.
            return None, "chatter"
        return None, "no label" if _JAPANESE.search(text) or not text else "not Japanese"

    @property
    def fingerprint(self) -> str:
        """sha256 over the wording."""
        content = [self.system, self.user, dict(self.labels), list(self.reminders)]
        return hashlib.sha256(json.dumps(content, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


def load_prompt(path: Path | None = None) -> AnnotationPrompt:
    """Read a prompt file; None reads the package's own.

    Raises:
        InputError: no such file, or it lacks something; names what.
    """
    path = path or DEFAULT_PROMPT
    entries = read_json(path)
    try:
        labels = {label: entries["labels"][label] for label in LABELS}
        prompt = AnnotationPrompt(entries.get("system", ""), entries["user"], labels, entries.get("reminders", []))
        prompt.user.format(text="")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise InputError(
            f'{path}: a prompt needs "user" with the field {{text}}, "labels" with "high" and "low", and may have '
            f'"system" and "reminders" ({error!r}).'
        ) from error
    _check(path, prompt)
    return prompt


def _check(path: Path, prompt: AnnotationPrompt) -> None:
    texts = [prompt.system, prompt.user, *prompt.labels.values(), *prompt.reminders]
    if not isinstance(prompt.reminders, list) or not all(isinstance(text, str) for text in texts):
        raise InputError(f'{path}: "system", "user", the labels and the list of reminders must be texts.')
    marker = "\ue000"
    if marker not in prompt.user.format(text=marker):
        raise InputError(f'{path}: "user" has no {{text}}, so the annotator would not see the document.')
    high, low = (prompt.labels[label] for label in LABELS)
    if prompt.read(high) != ("high", None) or prompt.read(low) != ("low", None):
        raise InputError(f'{path}: the labels "{high}" and "{low}" cannot be told apart in an answer.')
