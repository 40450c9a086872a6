"""The wording of the questions. It is data: the package's own (`prompts.json`), or a file of the same shape."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jmed_jax.errors import InputError
from jmed_jax.jsonl import read_json

Message = dict[str, str]
Conversation = list[Message]

DEFAULT_PROMPTS = Path(__file__).with_name("prompts.json")


@dataclass(frozen=True)
class Prompt:
    """A system message and the template of a user message.

    The template's fields are {question}, {options} (one line a choice, "A. …\\n") and {count}, the number of answers
    to give, which the benchmark of IgakuQA states in its own wording.
    """

    system: str
    user: str

    def messages(self, *, question: str, options: str = "", count: int = 1) -> Conversation:
        """The system and the user message of one question."""
        user = self.user.format(question=question, options=options, count=count)
        return [{"role": "system", "content": self.system}, {"role": "user", "content": user}]


Prompts = Mapping[str, Prompt]


def plain_text(conversation: Conversation, cue: str) -> str:
    """A conversation as one text for a base model, which has no chat template.

    Messages are paragraphs. An answer stands behind `cue` below its question, and `cue` ends the text; where it is
    empty, an answer stands on the next line.
    """
    paragraphs: list[str] = []
    for message in conversation:
        if message["role"] == "assistant":
            paragraphs[-1] = _with_cue(paragraphs[-1], cue) + plain_answer(message["content"], cue)
        else:
            paragraphs.append(message["content"].rstrip())
    return "\n\n".join([*paragraphs[:-1], _with_cue(paragraphs[-1], cue)])


def plain_answer(text: str, cue: str) -> str:
    """An answer as it goes on behind its cue: English puts a space there."""
    return f"{' ' if cue.isascii() else ''}{text}" if cue else f"\n{text}"


def _with_cue(paragraph: str, cue: str) -> str:
    return f"{paragraph}\n{cue}" if cue and not paragraph.endswith(cue) else paragraph


def load_prompts(path: Path | None = None, names: Sequence[str] | None = None, task: str = "") -> Prompts:
    """Read a prompt file: {name: {"system", "user"}} with the names of the package's own; None reads that one.

    Args:
        names: those that are needed; all if None.
        task: whose own wording, where the file has an entry of that name, takes the place of each of them.

    Raises:
        InputError: not such a file, a name is missing, or a template has a field that does not exist.
    """
    path = path or DEFAULT_PROMPTS
    entries = read_prompt_file(path)
    prompts = {}
    for name in names or read_prompt_file(DEFAULT_PROMPTS):
        found = task if task in entries else name
        try:
            prompts[name] = Prompt(system=str(entries[found]["system"]), user=str(entries[found]["user"]))
            prompts[name].messages(question="", options="")
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise InputError(
                f'{path}: prompt "{found}" needs "system" and "user" texts; fields of "user" are {{question}}, '
                f"{{options}} and {{count}} ({error!r})."
            ) from error
    return prompts


def read_prompt_file(path: Path) -> dict[str, dict[str, str]]:
    """The entries of a prompt file, by name.

    Raises:
        InputError: the file is missing, or no JSON object.
    """
    entries = read_json(path)
    if not isinstance(entries, dict):
        raise InputError(f"{path}: expected an object name → prompt, found {type(entries).__name__}.")
    return entries
