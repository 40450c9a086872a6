"""The Unigram tokenizer without MeCab that ours is measured against: sentencepiece alone, as most models use it."""

import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from jmed_jax.config import TokenizerConfig
from jmed_jax.errors import InputError
from jmed_jax.jsonl import open_text
from jmed_jax.progress import say, track
from jmed_jax.tokenizer.clean import clean
from jmed_jax.tokenizer.unigram import CHARACTER_COVERAGE, NUM_THREADS

# sentencepiece leaves out longer lines; this is its own limit, in bytes.
LONGEST_SENTENCE = 4192
# Of a larger text, sentencepiece draws so many: about 2 GB of memory.
MOST_SENTENCES = 2_000_000
# A small vocabulary has no room for all characters; sentencepiece takes no smaller coverage than the last.
COVERAGES = (CHARACTER_COVERAGE, 0.995, 0.98)


def train_plain_unigram(texts: Iterable[str], config: TokenizerConfig, out_model: Path) -> None:
    """Train sentencepiece's Unigram on cleaned sentences, without words of a segmenter, and write the model.

    The vocabulary's size, the length of a piece and the shrinking are `config`'s, as those of our tokenizer; so is
    the cleaning. Everything else is sentencepiece's default: pieces stop at spaces and where the script changes
    between Japanese, Latin letters and digits.

    Raises:
        InputError: no text, or `config.vocab_size` is too large or too small for it.
    """
    with tempfile.TemporaryDirectory() as directory:
        sentences = Path(directory) / "sentences.txt"
        count = _write_lines(_sentences(texts), sentences)
        if not count:
            raise InputError("no text to train a plain tokenizer on: the documents are empty after cleaning.")
        say(f"Training {config.vocab_size:,} plain pieces on {count:,} sentences")
        complaint = ""
        for coverage in COVERAGES:
            complaint = _train(sentences, config, coverage, out_model)
            if "required_chars" not in complaint:
                break
    if complaint:
        # sentencepiece names the place in its source first.
        reason = complaint.rsplit("] ", 1)[-1].rstrip(". ")
        raise InputError(f"the text does not suit {config.vocab_size:,} plain pieces: {reason}.")


def _train(sentences: Path, config: TokenizerConfig, coverage: float, out_model: Path) -> str:
    """Train, and return what sentencepiece says against this vocabulary, or "" when it has written the model."""
    import sentencepiece

    # sentencepiece draws by this seed where there are more sentences than it takes.
    sentencepiece.set_random_generator_seed(0)
    try:
        sentencepiece.SentencePieceTrainer.train(
            input=str(sentences),
            model_prefix=str(out_model.with_suffix("")),
            model_type="unigram",
            vocab_size=config.vocab_size,
            shrinking_factor=config.shrinking_factor,
            max_sentencepiece_length=config.max_piece_length,
            num_sub_iterations=config.num_sub_iterations,
            max_sentence_length=LONGEST_SENTENCE,
            input_sentence_size=MOST_SENTENCES,
            character_coverage=coverage,
            byte_fallback=True,
            # The text is clean; a space before it would be counted as a character.
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            num_threads=NUM_THREADS,
            minloglevel=3,
        )
    except RuntimeError as error:
        if re.search("[Vv]ocabulary size", str(error)) is None:
            raise
        return str(error)
    out_model.with_suffix(".vocab").unlink()
    return ""


def _sentences(texts: Iterable[str]) -> Iterator[str]:
    for text in track(texts, "Reading sentences", unit="documents"):
        for line in clean(text).split("\n"):
            for sentence in line.replace("。", "。\n").split("\n"):
                if sentence.strip():
                    yield sentence


def _write_lines(lines: Iterable[str], path: Path) -> int:
    count = 0
    with open_text(path, "w") as stream:
        for line in lines:
            stream.write(line + "\n")
            count += 1
    return count
