"""What models are asked: data, the package's own (`prompts.json`) or a file of the same shape."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from jmed_jax.errors import InputError
from jmed_jax.jsonl import read_json

KINDS = ("disease", "drug")
TASKS = ("textbook", "physician_exam", "pharmacist_exam")

Messages = list[dict[str, str]]


@dataclass(frozen=True)
class Prompts:
    """The wording of one task for one kind of topic.

    The fields are {topic}, {count}, the number of exercises, and {format}, how exercises are to be written.

    Attributes:
        title: of the documents.
        again: reason of a failure → what is added when a topic is asked again. Greedy models say the same to the same.
    """

    title: str
    system: str
    user: str
    format: str
    again: Mapping[str, str]

    def messages(self, topic: str, *, count: int, failed: str = "") -> Messages:
        """The conversation for one topic; `failed` is why the last answer was of no use."""
        user = self.user.format(topic=topic, count=count, format=self.format)
        if failed:
            user = f"{user}\n\n{self.again[failed].format(topic=topic)}"
        return [{"role": "system", "content": self.system}, {"role": "user", "content": user}]


def load_prompts(kind: str, task: str, path: Path | None = None) -> Prompts:
    """Read the wording of a task from a file, or the package's own.

    Raises:
        InputError: not such a file, a part is missing, or a template has a field that does not exist.
    """
    own = json.loads(resources.files("jmed_jax.corpus.synthetic").joinpath("prompts.json").read_text(encoding="utf-8"))
    entries = read_json(path) if path else own
    try:
        wording = entries["tasks"][task]
        title, system, user = str(wording["title"]), str(wording["system"]), str(wording["user"][kind])
        again = {failed: str(entries["again"][failed]) for failed in own["again"]}
        prompts = Prompts(title, system, user, str(entries["format"]), again)
        title.format(topic="")
        for failed in again:
            prompts.messages("", count=1, failed=failed)
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise InputError(
            f"{path}: needs tasks → {task} → title, system and user → {kind}, format, and again; the fields of a text "
            f"are {{topic}}, {{count}} and {{format}} ({error!r})."
        ) from error
    return prompts
