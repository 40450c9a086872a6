"""Labels of quality for a sample of a corpus, from a model that follows instructions (arXiv 2412.16423 §2.1)."""

import hashlib
import heapq
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jmed_jax.artifact import check_free, replacing
from jmed_jax.backends.protocol import Backend, Completion, Decoding
from jmed_jax.corpus.annotation_prompt import AnnotationPrompt
from jmed_jax.corpus.documents import iter_documents
from jmed_jax.errors import InputError
from jmed_jax.journal import Journal, unfinished_directory
from jmed_jax.jsonl import write_jsonl
from jmed_jax.progress import say, track

NO_ANSWER = "no answer"
"""Beside the kinds of `annotation_prompt.Malformed`: what the backend gave up on."""
# So many in a row without an answer, or a whole batch, are no accident: the server is gone, or the key is wrong.
HOPELESS = 20


class Sampled(NamedTuple):
    """A document to label, and its text as far as the annotator sees it."""

    id: str
    text: str


def sample_documents(
    corpus: Path, size: int, *, seed: int, characters: int, sources: Collection[str] = ()
) -> list[Sampled]:
    """The documents whose ids have the smallest hashes, smallest first.

    Every beginning of the list is a random sample too, and it stays nearly the same when the corpus grows.

    Args:
        size: documents; all of a smaller corpus. Their texts are held in memory.
        characters: of the beginning of each text.
        sources: names of those that are drawn from; all if none is given.

    Raises:
        InputError: as `iter_documents`, or no document is there.
    """
    # A heap with the largest hash on top, so the hashes are negative. Of two documents of one id the first counts.
    heap: list[tuple[int, Sampled]] = []
    drawn: set[str] = set()
    for row in track(iter_documents(corpus), "Drawing the sample", unit="documents"):
        if row["id"] in drawn or (sources and row["source"] not in sources):
            continue
        order = -_hash(row["id"], seed)
        if len(heap) < size:
            heapq.heappush(heap, (order, Sampled(row["id"], row["text"][:characters])))
            drawn.add(row["id"])
        elif order > heap[0][0]:
            _, left_out = heapq.heapreplace(heap, (order, Sampled(row["id"], row["text"][:characters])))
            drawn.add(row["id"])
            drawn.remove(left_out.id)
    if not heap:
        raise InputError(f"{corpus}: no document of {', '.join(sources) or 'any source'}.")
    return [document for _, document in sorted(heap, reverse=True)]


def _hash(identifier: str, seed: int) -> int:
    digest = hashlib.blake2b(f"{seed} {identifier}".encode(errors="replace"), digest_size=8).digest()
    return int.from_bytes(digest)


def annotate(
    documents: Sequence[Sampled],
    backend: Backend,
    prompt: AnnotationPrompt,
    out: Path,
    *,
    characters: int,
    retries: int = 2,
    max_new_tokens: int = 32,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Ask for the label of every document and write a JSON line for each, in their order.

    A row holds id, label ("high", "low", or null where every answer was malformed), annotator, attempts, answers as
    they came, malformed (what was wrong with each answer that was not taken), and the document's share of its batch's
    seconds, prompt_tokens and completion_tokens. Answers are on disk after every batch; the same call again goes on
    from there, and `out` appears when all documents have a row.

    Args:
        characters: what the texts were cut to; labels of other cuts are not mixed in.
        retries: further attempts, each with the next of the prompt's reminders.

    Returns:
        `summarize_labels` of the rows.

    Raises:
        InputError: `out` exists, the prompt has fewer reminders, the budget is spent, or no answer comes at all.
    """
    check_free(out, overwrite)
    if retries > len(prompt.reminders):
        raise InputError(f"--retries {retries}: the prompt has {len(prompt.reminders)} reminders, one a retry.")
    settings = {
        "annotator": backend.name,
        "prompt": prompt.fingerprint,
        "characters": characters,
        "retries": retries,
        "max_new_tokens": max_new_tokens,
        # Of these texts: the same ids may stand for others in another corpus.
        "documents": hashlib.sha256("\0".join(d.id + d.text for d in documents).encode(errors="replace")).hexdigest(),
    }
    with Journal(unfinished_directory(out), settings) as journal:
        rows = {row["id"]: row for _, row in journal.records()}
        left = [document for document in documents if document.id not in rows]
        if len(left) < len(documents):
            say(f"{len(documents) - len(left):,} of {len(documents):,} documents are labelled already")
        annotator = _Annotator(backend, prompt, retries, max_new_tokens)
        for row in track(_ask_all(annotator, left, journal), "Annotating", total=len(left), unit="documents"):
            rows[row["id"]] = row
        finished = [rows[document.id] for document in documents]
        with replacing(out) as temporary:
            write_jsonl(temporary, finished)
        journal.remove()
    return summarize_labels(finished)


def _ask_all(annotator: "_Annotator", documents: Sequence[Sampled], journal: Journal) -> Iterable[dict[str, Any]]:
    size = annotator.backend.batch_size
    for start in range(0, len(documents), size):
        rows = annotator.ask(documents[start : start + size])
        journal.append(rows)
        yield from rows
        if annotator.over_budget:
            raise InputError(
                f"the budget is spent with {len(documents) - start - len(rows):,} documents left. "
                "The same command with a larger one goes on where it was."
            )


class _Annotator:
    """Asks about one batch after the other."""

    def __init__(self, backend: Backend, prompt: AnnotationPrompt, retries: int, max_new_tokens: int) -> None:
        self.backend = backend
        self.prompt = prompt
        self.retries = retries
        self.max_new_tokens = max_new_tokens
        self.over_budget = False
        self._was_answered = False

    def ask(self, documents: Sequence[Sampled]) -> list[dict[str, Any]]:
        """The rows of a batch; without documents that the budget left open."""
        before, start = Counter(self.backend.counts), time.perf_counter()
        rows = {document.id: self._new_row(document) for document in documents}
        open_documents = list(documents)
        for attempt in range(1 + self.retries):
            conversations = [self.prompt.messages(document.text, attempt) for document in open_documents]
            completions = self.backend.complete(conversations, Decoding(self.max_new_tokens))
            self._check_for_answers(completions)
            for document, completion in zip(open_documents, completions, strict=True):
                if completion.over_budget:
                    self.over_budget = True
                    del rows[document.id]
                else:
                    self._take(rows[document.id], completion)
            open_documents = [d for d in open_documents if d.id in rows and _may_retry(rows[d.id])]
            if not open_documents:
                break
        self._share_out(rows.values(), time.perf_counter() - start, self.backend.counts - before)
        return list(rows.values())

    def _new_row(self, document: Sampled) -> dict[str, Any]:
        empty: dict[str, Any] = {"answers": [], "malformed": []}
        return {"id": document.id, "label": None, "annotator": self.backend.name, "attempts": 0, **empty}

    def _take(self, row: dict[str, Any], completion: Completion) -> None:
        row["attempts"] += 1
        row["answers"].append(completion.text)
        if completion.error:
            row["malformed"].append(NO_ANSWER)
            return
        row["label"], malformed = self.prompt.read(completion.text)
        if malformed:
            row["malformed"].append(malformed)

    def _check_for_answers(self, completions: Sequence[Completion]) -> None:
        errors = [completion.error for completion in completions if completion.error and not completion.over_budget]
        if len(errors) < len(completions):
            self._was_answered = True
        elif not self._was_answered or len(errors) >= min(HOPELESS, self.backend.batch_size):
            raise InputError(f"{self.backend.name}: no answer to {len(errors):,} questions in a row: {errors[0]}.")

    def _share_out(self, rows: Iterable[dict[str, Any]], seconds: float, counts: Mapping[str, int]) -> None:
        rows = list(rows)
        for row in rows:
            row["seconds"] = round(seconds / len(rows), 4)
            for name in ("prompt_tokens", "completion_tokens"):
                row[name] = round(counts.get(name, 0) / len(rows), 2)


def _may_retry(row: Mapping[str, Any]) -> bool:
    # The backend itself has asked for an answer often enough.
    return row["label"] is None and row["malformed"][-1] != NO_ANSWER


def summarize_labels(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What a file of labels holds: documents, labels, attempts, malformed answers by kind, seconds and tokens.

    Rows by a person may have nothing but id and label.
    """
    labels: Counter[str] = Counter()
    malformed: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    annotators = set()
    for row in rows:
        labels[row["label"] or "none"] += 1
        malformed.update(row.get("malformed", ()))
        annotators.add(row.get("annotator", "unknown"))
        for name in ("attempts", "seconds", "prompt_tokens", "completion_tokens"):
            sums[name] += row.get(name, 0)
    return {
        "annotator": ", ".join(sorted(annotators)),
        "documents": labels.total(),
        "labels": {name: labels[name] for name in ("high", "low", "none")},
        "malformed": dict(sorted(malformed.items())),
        "attempts": sums["attempts"],
        **{name: round(sums[name], 1) for name in ("seconds", "prompt_tokens", "completion_tokens")},
    }
