"""Training of the Unigram model on counted words (arXiv 2412.16423 §2.2)."""

import bisect
import itertools
import re
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from jmed_jax.config import TokenizerConfig
from jmed_jax.errors import InputError
from jmed_jax.tokenizer.core import BEGIN_OF_TEXT, END_OF_TEXT

# sentencepiece's own advice for Japanese; rarer characters are spelled in bytes.
CHARACTER_COVERAGE = 0.9995
# Largest share of characters among the pieces that are not fixed. A text of few different words may not fill the rest
# with longer pieces; then it is tried with more characters.
SHARES_OF_CHARACTERS = (0.6, 0.8, 1.0)
# <unk>, two control tokens, the newline and 256 bytes.
FIXED_PIECES = 260
# What `TokenizerConfig` accepts.
SMALLEST_VOCABULARY = 300
# Sums in the E step depend on how the words are split over threads: a fixed number makes the model reproducible.
NUM_THREADS = 8


def train_unigram(word_counts: Mapping[str, int], config: TokenizerConfig, out_model: Path) -> None:
    """Train on word counts and write a sentencepiece model.

    Ids: 0 `<unk>`, 1 `<|begin_of_text|>`, 2 `<|end_of_text|>` (also padding), 3 newline, then 256 bytes, then pieces.

    Args:
        word_counts: words without newlines; a word may start with a space.

    Raises:
        InputError: no words, or fewer possible pieces than `config.vocab_size`; names the largest possible.
    """
    if not word_counts:
        raise InputError("no words to train a tokenizer on: the text is empty after cleaning.")
    largest = 0
    for share in SHARES_OF_CHARACTERS:
        room = int(share * (config.vocab_size - FIXED_PIECES))
        possible = _train(_drop_rare_characters(word_counts, room), config, out_model)
        if possible >= config.vocab_size:
            return
        largest = max(largest, possible)
    advice = f"Use --vocab-size {largest} or more text." if largest > SMALLEST_VOCABULARY else "Use more text."
    raise InputError(
        f"the text is too small for {config.vocab_size:,} pieces: {largest:,} is the largest possible. {advice}"
    )


def _train(word_counts: Mapping[str, int], config: TokenizerConfig, out_model: Path) -> int:
    """Train, and return the number of pieces; if that is less than asked for, no model was written."""
    import sentencepiece

    with tempfile.TemporaryDirectory() as directory:
        table = Path(directory) / "words.tsv"
        _write_words(word_counts, config.max_training_words, table)
        try:
            sentencepiece.SentencePieceTrainer.train(
                input=str(table),
                input_format="tsv",
                model_prefix=str(out_model.with_suffix("")),
                model_type="unigram",
                vocab_size=config.vocab_size,
                shrinking_factor=config.shrinking_factor,
                max_sentencepiece_length=config.max_piece_length,
                num_sub_iterations=config.num_sub_iterations,
                # The table holds no other characters than those that get a piece.
                character_coverage=1.0,
                byte_fallback=True,
                user_defined_symbols=["\n"],
                unk_id=0,
                bos_id=1,
                eos_id=2,
                pad_id=-1,
                bos_piece=BEGIN_OF_TEXT,
                eos_piece=END_OF_TEXT,
                # The text is clean and the words are MeCab's: nothing is to be changed or split further.
                normalization_rule_name="identity",
                add_dummy_prefix=False,
                remove_extra_whitespaces=False,
                split_by_unicode_script=False,
                split_by_number=False,
                num_threads=NUM_THREADS,
                minloglevel=3,
            )
        except RuntimeError as error:
            too_large = re.search(r"value <= (\d+)", str(error))
            if too_large is None:
                raise
            return int(too_large[1])
    out_model.with_suffix(".vocab").unlink()
    return config.vocab_size


def _write_words(word_counts: Mapping[str, int], max_training_words: int, table: Path) -> None:
    """Write word and count, scaled to about `max_training_words` in total."""
    scale = min(1.0, max_training_words / sum(word_counts.values()))
    # Sorted, so that the model does not depend on the order of the documents.
    rows = sorted(word_counts.items(), key=lambda item: (-item[1], item[0]))
    with table.open("w", encoding="utf-8", newline="\n") as stream:
        for word, count in rows:
            stream.write(f"{word}\t{max(1, round(count * scale))}\n")


def _drop_rare_characters(word_counts: Mapping[str, int], room: int) -> Mapping[str, int]:
    """Cut words at the characters that get no piece of their own, so that at most `room` different ones are left.

    sentencepiece does the same by its option character_coverage, but refuses the small coverage of a small vocabulary.
    """
    characters: Counter[str] = Counter()
    for word, count in word_counts.items():
        for character in word:
            characters[character] += count
    ranked = sorted(characters, key=lambda character: (-characters[character], character))
    running = list(itertools.accumulate(characters[character] for character in ranked))
    covering = bisect.bisect_left(running, CHARACTER_COVERAGE * running[-1]) + 1
    rare = ranked[min(covering, room) :]
    if not rare:
        return word_counts
    cut = re.compile("[" + "".join(map(re.escape, rare)) + "]")
    fragments: Counter[str] = Counter()
    for word, count in word_counts.items():
        for fragment in cut.split(word):
            if fragment:
                fragments[fragment] += count
    return fragments
