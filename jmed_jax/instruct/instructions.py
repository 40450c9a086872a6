"""From question sets and dialogue files to one JSONL file of training conversations (arXiv 2409.11783, MPEFT)."""

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from jmed_jax.artifact import check_free, file_sha256
from jmed_jax.errors import InputError
from jmed_jax.evaluate.exam_prompts import (
    ExamPrompts,
    Style,
    exam_answer,
    exam_messages,
    load_exam_prompts,
    prompts_sha256,
)
from jmed_jax.evaluate.exams.question import LANGUAGES, Language, MultipleChoiceQuestion
from jmed_jax.evaluate.exams.registry import get_question_set, iter_files, question_sets
from jmed_jax.evaluate.prompts import Conversation
from jmed_jax.instruct.dialogues import LAYOUTS, read_dialogues
from jmed_jax.instruct.held_out import HeldOut
from jmed_jax.instruct.manifest import replacing_described, write_manifest
from jmed_jax.jsonl import write_jsonl
from jmed_jax.progress import say

Target = Literal["answer", "cot"]
TARGETS: tuple[Target, ...] = get_args(Target)
LICENSE_UNKNOWN = "not stated"


@dataclass(frozen=True)
class InstructionConfig:
    """What the conversations are like.

    Attributes:
        languages: those of the questions that are taken.
        target: "answer": the answer alone; "cot": the source's explanation first, and only questions that have one.
        style: of the prompt, as in `exam_prompts`.
        shots: solved examples in every prompt.
        limit: questions drawn from a source at most; one in both languages counts once.
        longest: characters of a question with its choices, by language; longer ones are left out. arXiv 2409.11783
            evaluates on questions of up to 1,024 (ja) and 2,048 (en).
    """

    languages: tuple[Language, ...] = LANGUAGES
    target: Target = "answer"
    style: Style = "gestalt_cot"
    shots: int = 0
    limit: int | None = None
    seed: int = 0
    longest: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.style == "letters" and self.target == "cot":
            raise InputError("--style letters has no chain of thought: its evaluation reads the first letter it finds.")


@dataclass(frozen=True)
class Source:
    """A question set or dialogue layout, a file or directory of it, and its licence where the user states it."""

    name: str
    path: Path
    license: str = ""


@dataclass(frozen=True)
class _Item:
    """What becomes one conversation, and the file that it stands in."""

    source: Source
    file: Path
    label: str
    """The file, for provenance: below its source's name, never an address on this machine."""
    id: str
    language: Language
    license: str
    content: MultipleChoiceQuestion | Conversation
    pair: str

    @property
    def set_name(self) -> str:
        """The set that it comes from, also when it was read as a translation of it."""
        return self.content.source if isinstance(self.content, MultipleChoiceQuestion) else self.source.name

    @property
    def conversation_id(self) -> str:
        """Set, question and language."""
        return f"{self.set_name}/{self.id.removeprefix(f'{self.set_name}/')}/{self.language}"

    @property
    def text(self) -> str:
        if isinstance(self.content, MultipleChoiceQuestion):
            return "\n".join([self.content.text, *self.content.choices])
        return "\n".join(message["content"] for message in self.content if message["role"] != "system")


def write_instructions(
    sources: Sequence[Source],
    out: Path,
    config: InstructionConfig,
    *,
    prompts: Path | None = None,
    examples: Source | None = None,
    exclude_test: Sequence[Path] = (),
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write the conversations of all sources, and a manifest beside them. The same arguments give the same file.

    Questions that need a picture, that have no choices, and what the configuration and `exclude_test` rule out are left
    out and counted. A question and its translation stand next to each other.

    Args:
        examples: the solved questions of the prompts, the first `config.shots` in the question's language.
        exclude_test: evaluation sets none of whose questions, nor their translations here, may be trained on.

    Returns:
        "conversations", "sources" and "languages" (how many of each), "left_out" (how many for which reason).

    Raises:
        InputError: `out` exists, a source is unknown, a record is damaged, or nothing is left.
    """
    check_free(out, overwrite)
    wording = load_exam_prompts(prompts)
    shots = _read_examples(examples, config)
    held_out = HeldOut(exclude_test) if exclude_test else None
    left_out: Counter[str] = Counter()
    kept = []
    for group in _paired(item for source in sources for item in _read_source(source, config.languages)):
        useful, reasons = _sift(group, config, held_out)
        left_out.update(reasons)
        if useful:
            kept.append(useful)
    items = [item for group in _draw(kept, config) for item in group]
    if not items:
        why = ", ".join(f"{reason}: {count:,}" for reason, count in left_out.items()) or "no records"
        names = ", ".join(str(source.path) for source in sources)
        raise InputError(f"{names}: nothing is left to train on ({why}).")
    _check_ids(items)
    hashes = {file: file_sha256(file) for file in dict.fromkeys(item.file for item in items)}
    with replacing_described(out) as (temporary,):
        write_jsonl(temporary, _conversations(items, config, wording, shots, hashes))
    counts: dict[str, Any] = {
        "conversations": len(items),
        "sources": dict(Counter(item.set_name for item in items)),
        "languages": dict(Counter(item.language for item in items)),
        "left_out": dict(left_out),
    }
    licenses = {name: sorted({item.license for item in items if item.set_name == name}) for name in counts["sources"]}
    described = {
        **asdict(config),
        "licenses": licenses,
        "prompts": prompts_sha256(wording),
        "examples": [example.pair for example in shots],
        "exclude_test": [path.name for path in exclude_test],
    }
    inputs = _inputs(items, hashes)
    write_manifest(out, "instructions", config=described, inputs=inputs, counts=counts, files=[out])
    return counts


# --- reading ----------------------------------------------------------------------------------------------------------


def _read_source(source: Source, languages: Sequence[Language]) -> Iterator[_Item]:
    if source.name in LAYOUTS:
        yield from _read_dialogue_source(source, languages)
        return
    if source.name not in question_sets():
        known = ", ".join([*question_sets(), *LAYOUTS])
        raise InputError(f'--source {source.name}={source.path}: no set "{source.name}". There are: {known}.')
    chosen = get_question_set(source.name)
    seen: set[tuple[str, str]] = set()
    files = _training_files(source.path)
    for language in languages:
        for file in files:
            for question in chosen.read(file, language):
                if (question.id, language) in seen:
                    raise InputError(f'{file}: id "{question.id}" stands twice in {source.path}.')
                seen.add((question.id, language))
                license_name = source.license or question.license
                label = _label(source, file)
                yield _Item(source, file, label, question.id, language, license_name, question, question.pair)


def _read_dialogue_source(source: Source, languages: Sequence[Language]) -> Iterator[_Item]:
    license_name = source.license or LICENSE_UNKNOWN
    if source.path.is_dir():
        raise InputError(f"{source.path}: a directory; {source.name} is read from a file.")
    for number, (identifier, messages) in enumerate(read_dialogues(source.name, source.path)):
        language = _language_of(messages)
        if language in languages:
            label, pair = _label(source, source.path), f"{source.name}/{source.path}/{number}"
            yield _Item(source, source.path, label, identifier, language, license_name, messages, pair)


def _training_files(path: Path) -> list[Path]:
    """The files of a source; a directory's test files are passed over: they are taken when they are named."""
    files = iter_files(path)
    if not path.is_dir():
        return files
    training = [file for file in files if not re.search(r"(^|[/_.-])test([/_.-])", file.relative_to(path).as_posix())]
    if not training:
        raise InputError(f"{path}: only test files here. Name the file itself if it is to be trained on.")
    if len(training) < len(files):
        say(f"{path}: {len(files) - len(training)} test files are passed over.")
    return training


def _label(source: Source, file: Path) -> str:
    inside = file.relative_to(source.path).as_posix() if source.path.is_dir() else file.name
    return f"{source.name}/{inside}"


def _language_of(messages: Conversation) -> Language:
    """Japanese where there is any kana."""
    return "ja" if any(re.search("[ぁ-んァ-ヶ]", message["content"]) for message in messages) else "en"


def _read_examples(examples: Source | None, config: InstructionConfig) -> list[MultipleChoiceQuestion]:
    """The first examples of every language.

    Raises:
        InputError: they are asked for and not given, or given and not asked for, or there are too few.
    """
    if bool(config.shots) != bool(examples):
        raise InputError("--shots K and --examples SET=FILE belong together.")
    if not examples:
        return []
    chosen = get_question_set(examples.name)
    shots = []
    for language in config.languages:
        found = list(chosen.read(examples.path, language))[: config.shots]
        if len(found) < config.shots:
            raise InputError(f"{examples.path}: {len(found)} examples in {language}; --shots asks for {config.shots}.")
        shots += found
    return shots


# --- choosing ---------------------------------------------------------------------------------------------------------


def _paired(items: Iterable[_Item]) -> list[list[_Item]]:
    """A question and its translations together, in the order of the first of them."""
    groups: dict[str, list[_Item]] = {}
    for item in items:
        groups.setdefault(item.pair, []).append(item)
    return list(groups.values())


def _sift(group: list[_Item], config: InstructionConfig, held_out: HeldOut | None) -> tuple[list[_Item], list[str]]:
    """What of a group may be trained on, and why the rest may not."""
    # A translation gives its original away.
    if held_out and any(_is_held_out(item, held_out) for item in group):
        return [], ["evaluation question"] * len(group)
    reasons = [_reason_to_leave(item, config) for item in group]
    return [item for item, reason in zip(group, reasons, strict=True) if not reason], list(filter(None, reasons))


def _is_held_out(item: _Item, held_out: HeldOut) -> bool:
    if isinstance(item.content, MultipleChoiceQuestion):
        return held_out.holds(item.content)
    return held_out.holds_text(item.text)


def _reason_to_leave(item: _Item, config: InstructionConfig) -> str:
    """Why an item is of no use; "" where it is of use."""
    question = item.content
    if isinstance(question, MultipleChoiceQuestion):
        if not question.choices or not question.text.strip():
            return "no choices or no text"
        if not question.text_only:
            return "needs a picture"
        if config.target == "cot" and not question.explanation:
            return "no explanation"
    if len(item.text) > config.longest.get(item.language, len(item.text)):
        return "too long"
    return ""


def _draw(groups: list[list[_Item]], config: InstructionConfig) -> list[list[_Item]]:
    """At most `config.limit` groups of every source, in their own order."""
    if config.limit is None:
        return groups
    places: dict[str, list[int]] = {}
    for place, group in enumerate(groups):
        places.setdefault(group[0].source.name, []).append(place)
    drawn: set[int] = set()
    for name, own in places.items():
        # Seeded by source too, so that what is drawn of one does not depend on the others.
        drawn.update(random.Random(f"{config.seed} {name}").sample(own, min(config.limit, len(own))))
    return [group for place, group in enumerate(groups) if place in drawn]


# --- writing ----------------------------------------------------------------------------------------------------------


def _check_ids(items: Sequence[_Item]) -> None:
    seen: dict[str, _Item] = {}
    for item in items:
        if item.conversation_id in seen:
            before = seen[item.conversation_id]
            raise InputError(f'{item.file}: id "{item.id}" of {item.set_name} also stands in {before.file}.')
        seen[item.conversation_id] = item


def _inputs(items: Sequence[_Item], hashes: Mapping[Path, str]) -> dict[str, str]:
    """The hashes by label; files of one label in several folders get "#2", "#3" … behind it."""
    inputs: dict[str, str] = {}
    times: Counter[str] = Counter()
    for label, file in dict.fromkeys((item.label, item.file) for item in items):
        times[label] += 1
        inputs[label if times[label] == 1 else f"{label}#{times[label]}"] = hashes[file]
    return inputs


def _conversations(
    items: Sequence[_Item],
    config: InstructionConfig,
    prompts: ExamPrompts,
    shots: Sequence[MultipleChoiceQuestion],
    hashes: Mapping[Path, str],
) -> Iterator[dict[str, Any]]:
    prompt_hash = prompts_sha256(prompts)
    for item in items:
        provenance: dict[str, Any] = {"file": item.label, "sha256": hashes[item.file], "row": item.id}
        if isinstance(item.content, MultipleChoiceQuestion):
            messages = _exam_conversation(item.content, config, prompts, shots)
            provenance |= {"style": config.style, "target": config.target, "prompts": prompt_hash, "pair": item.pair}
        else:
            messages = item.content
        yield {
            "id": item.conversation_id,
            "source": item.set_name,
            "license": item.license,
            "language": item.language,
            "messages": messages,
            "provenance": provenance,
        }


def _exam_conversation(
    question: MultipleChoiceQuestion,
    config: InstructionConfig,
    prompts: ExamPrompts,
    shots: Sequence[MultipleChoiceQuestion],
) -> Conversation:
    explained = config.target == "cot"
    examples = [shot for shot in shots if shot.language == question.language and shot.pair != question.pair]
    messages = exam_messages(question, prompts, config.style, examples=examples, with_explanation=explained)
    answer = exam_answer(question, prompts, config.style, with_explanation=explained)
    return [*messages, {"role": "assistant", "content": answer}]
