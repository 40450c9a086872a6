"""How well tokenizers fit texts: fertility, terms that are one token, and characters spelled in bytes.

Only text that no tokenizer was trained on tells anything: on its own training text a tokenizer looks too good.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jmed_jax.errors import InputError
from jmed_jax.progress import track
from jmed_jax.tokenizer.clean import clean
from jmed_jax.tokenizer.core import USER_DICTIONARY_FILE
from jmed_jax.tokenizer.dictionary import Term, read_terms
from jmed_jax.tokenizer.morphology import Segmenter
from jmed_jax.tokenizer.pretrained import PretrainedTokenizer
from jmed_jax.tokenizer.tokenizer import Tokenizer

QWEN_FILES = ("vocab.json", "merges.txt")


@dataclass(frozen=True)
class Encoder:
    """A tokenizer as the report sees it.

    Attributes:
        vocab_size: number of its ids.
        encode: cleaned text to ids, without tokens for begin and end.
        is_fragment: whether an id is only a part of a character, a byte in most cases.
        is_unknown: whether an id stands for what the tokenizer cannot write.
    """

    name: str
    vocab_size: int
    encode: Callable[[str], Sequence[int]]
    is_fragment: Callable[[int], bool]
    is_unknown: Callable[[int], bool]


def tokenizer_report(
    encoders: Sequence[Encoder], general: Iterable[str], medical: Iterable[str], dictionary: Path | None
) -> dict[str, Any]:
    """All that `jmed tokenizer report` writes, as one JSON object.

    Args:
        general: held-out texts of ordinary language.
        medical: held-out medical texts; they are kept in memory.
        dictionary: a "dictionary" artefact whose terms are encoded, or None.

    Raises:
        InputError: texts are empty after cleaning, or `dictionary` is none.
    """
    records = list(medical)
    return {
        "tokenizers": {encoder.name: {"vocab_size": encoder.vocab_size} for encoder in encoders},
        "general": measure_texts(encoders, general),
        "medical": measure_texts(encoders, records),
        "terms": measure_terms(encoders, dictionary, records) if dictionary else None,
    }


# --- tokenizers -------------------------------------------------------------------------------------------------------


def our_encoder(tokenizer: Tokenizer, name: str = "jmed") -> Encoder:
    """Our tokenizer; it has no unknown, for whatever has no piece is spelled in bytes."""
    unknown = tokenizer.core.ids["<unk>"]
    return Encoder(
        name,
        tokenizer.vocab_size,
        tokenizer.encode,
        is_fragment=lambda index: tokenizer.core.is_byte(index) and _is_part(tokenizer.core.tokens[index]),
        is_unknown=lambda index: index == unknown,
    )


def _is_part(byte_piece: str) -> bool:
    """Whether a byte ("<0xE3>") is a part of a character; those of ASCII ("<0x0A>", a newline) are whole ones."""
    return int(byte_piece[3:5], 16) >= 0x80


def plain_encoder(model: Path, name: str = "plain Unigram") -> Encoder:
    """A sentencepiece model on text that no segmenter has split.

    Raises:
        InputError: `model` is no sentencepiece model.
    """
    import sentencepiece

    try:
        processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    except (OSError, RuntimeError) as error:
        raise InputError(f"{model}: no sentencepiece model ({error}).") from error
    return Encoder(
        name,
        processor.vocab_size(),
        processor.encode,
        is_fragment=lambda index: processor.is_byte(index) and _is_part(processor.id_to_piece(index)),
        is_unknown=processor.is_unknown,
    )


def pretrained_encoder(tokenizer: PretrainedTokenizer, name: str = "pretrained") -> Encoder:
    """A tokenizer of Hugging Face; it has no unknown, for it writes every byte."""
    return Encoder(
        name,
        tokenizer.vocab_size,
        tokenizer.encode,
        # Cleaned text has no U+FFFD of its own.
        is_fragment=lambda index: "\ufffd" in tokenizer.token(index),
        is_unknown=lambda _: False,
    )


def qwen_encoder(directory: Path, name: str = "Qwen2") -> Encoder:
    """The tokenizer of Qwen2 from `vocab.json` and `merges.txt` (arXiv 2407.10671 §2.1), read offline.

    Raises:
        InputError: a file is missing or broken.
    """
    missing = [file for file in QWEN_FILES if not (directory / file).is_file()]
    if missing:
        raise InputError(f"{directory}: no {' and no '.join(missing)} here, so this is no tokenizer of Qwen2.")
    from transformers import Qwen2TokenizerFast

    try:
        tokenizer = Qwen2TokenizerFast.from_pretrained(directory, local_files_only=True)
    except Exception as error:  # the library's own exceptions are of no common class
        raise InputError(f"{directory}: {', '.join(QWEN_FILES)} are no tokenizer of Qwen2 ({error}).") from error

    def encode(text: str) -> Sequence[int]:
        ids: Sequence[int] = tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    return Encoder(
        name,
        len(tokenizer),
        encode,
        # Cleaned text has no U+FFFD of its own.
        is_fragment=lambda index: "\ufffd" in tokenizer.decode([index]),
        # It writes every byte.
        is_unknown=lambda _: False,
    )


# --- texts ------------------------------------------------------------------------------------------------------------


def measure_texts(encoders: Sequence[Encoder], texts: Iterable[str]) -> dict[str, Any]:
    """How tokenizers cut the same cleaned texts.

    Returns:
        documents, characters, bytes and words of the texts; words are MeCab's with ipadic alone, the same for all.
        "tokenizers": by name, tokens, `characters_per_token`, `bytes_per_token`, `tokens_per_word`,
        `fragment_share` of tokens that are less than a character, `unknown_share`, `distinct_tokens`.

    Raises:
        InputError: the texts are empty after cleaning.
    """
    segmenter = Segmenter()
    size: Counter[str] = Counter(documents=0, characters=0, bytes=0, words=0)
    used: dict[str, Counter[int]] = {encoder.name: Counter() for encoder in encoders}
    for text in track(texts, "Encoding texts", unit="documents"):
        cleaned = clean(text)
        words = len(segmenter.words(cleaned))
        size.update(documents=1, characters=len(cleaned), bytes=len(cleaned.encode()), words=words)
        for encoder in encoders:
            used[encoder.name].update(encoder.encode(cleaned))
    if not size["characters"]:
        raise InputError("no text to measure: the documents are empty after cleaning.")
    return {**size, "tokenizers": {encoder.name: _fertility(encoder, used[encoder.name], size) for encoder in encoders}}


def _fertility(encoder: Encoder, used: Mapping[int, int], size: Mapping[str, int]) -> dict[str, Any]:
    tokens = sum(used.values())
    return {
        "tokens": tokens,
        "characters_per_token": size["characters"] / tokens,
        "bytes_per_token": size["bytes"] / tokens,
        "tokens_per_word": tokens / size["words"],
        "fragment_share": sum(count for index, count in used.items() if encoder.is_fragment(index)) / tokens,
        "unknown_share": sum(count for index, count in used.items() if encoder.is_unknown(index)) / tokens,
        "distinct_tokens": len(used),
    }


def tokenizer_stats(tokenizer: Tokenizer, texts: Iterable[str]) -> dict[str, Any]:
    """How well a tokenizer fits texts.

    Returns:
        documents, characters, bytes, words and tokens of the cleaned texts; `characters_per_token`, `bytes_per_token`,
        `tokens_per_word`; `whole_word_share`, the share of words that are one token; `byte_token_share`, the share of
        tokens that are one byte of a rare character; `distinct_tokens` that occur at all. Words are the tokenizer's
        own, those of its user dictionary included.

    Raises:
        InputError: the texts are empty after cleaning.
    """
    counts: Counter[str] = Counter()
    used: Counter[int] = Counter()
    for text in texts:
        cleaned = clean(text)
        words = tokenizer.core.segmenter.words(cleaned)
        counts.update(documents=1, characters=len(cleaned), bytes=len(cleaned.encode()), words=len(words))
        for word in words:
            ids = tokenizer.core.encode_words([word])
            used.update(ids)
            counts["whole_words"] += len(ids) == 1
    tokens = used.total()
    if tokens == 0:
        raise InputError("no text to measure: the documents are empty after cleaning.")
    byte_tokens = sum(count for index, count in used.items() if tokenizer.core.is_byte(index))
    return {
        **{name: counts[name] for name in ("documents", "characters", "bytes", "words")},
        "tokens": tokens,
        "characters_per_token": counts["characters"] / tokens,
        "bytes_per_token": counts["bytes"] / tokens,
        "tokens_per_word": tokens / counts["words"],
        "whole_word_share": counts["whole_words"] / counts["words"],
        "byte_token_share": byte_tokens / tokens,
        "distinct_tokens": len(used),
    }


# --- terms ------------------------------------------------------------------------------------------------------------


def measure_terms(encoders: Sequence[Encoder], dictionary: Path, texts: Iterable[str]) -> dict[str, Any]:
    """How many tokens the terms of a "dictionary" artefact are, each by itself.

    Args:
        texts: medical texts, for the terms as often as they occur.

    Returns:
        "listed" and "in_text": by kind, the number of terms, and by tokenizer the share that is `one_token` and the
        `tokens_per_term`. "listed" counts every term of the dictionary once, "in_text" every occurrence of one.
    """
    terms = {term.text: term for term in read_terms(dictionary)}
    segmenter = Segmenter(dictionary / USER_DICTIONARY_FILE)
    occurrences: Counter[str] = Counter()
    for text in texts:
        occurrences.update(word.lstrip() for word in segmenter.words(clean(text)))
    found = {text: count for text, count in occurrences.items() if text in terms}
    lengths = {encoder.name: _lengths(encoder, terms) for encoder in encoders}
    return {
        "listed": _by_kind(terms, dict.fromkeys(terms, 1), lengths),
        "in_text": _by_kind(terms, found, lengths),
    }


def _lengths(encoder: Encoder, terms: Iterable[str]) -> dict[str, int]:
    return {text: len(encoder.encode(text)) for text in track(terms, f"Encoding terms, {encoder.name}", unit="terms")}


def _by_kind(
    terms: Mapping[str, Term], counts: Mapping[str, int], lengths: Mapping[str, Mapping[str, int]]
) -> dict[str, Any]:
    kinds: dict[str, list[str]] = defaultdict(list)
    for text in counts:
        kinds[terms[text].kind].append(text)
    result = {}
    for kind, texts in sorted(kinds.items()):
        total = sum(counts[text] for text in texts)
        result[kind] = {
            "terms": total,
            "tokenizers": {
                name: {
                    "one_token": sum(counts[text] for text in texts if tokens[text] == 1) / total,
                    "tokens_per_term": sum(counts[text] * tokens[text] for text in texts) / total,
                }
                for name, tokens in lengths.items()
            },
        }
    return result
