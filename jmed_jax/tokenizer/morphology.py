"""Words of a Japanese text, from MeCab with ipadic and a user dictionary (arXiv 2412.16423 §2.2).

Imports only the standard library, fugashi and ipadic: a copy of this file travels with every exported Hugging Face
tokenizer.
"""

import re
import shlex
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import fugashi
import ipadic

# MeCab keeps the length of a word in 16 bits; a line beyond this many characters is cut, after a sentence if possible.
LONGEST_LINE = 4096
# MeCab stops reading at NUL.
_LINE = re.compile("[^\n\0]+|[\n\0]")


class Segmenter:
    """Splits text into words that join to the text again.

    Args:
        user_dictionary: compiled MeCab dictionary of more words, or None.
    """

    def __init__(self, user_dictionary: Path | None = None) -> None:
        self.user_dictionary = user_dictionary

    def __getstate__(self) -> dict[str, Any]:
        # The tagger is made again where the copy is used.
        return {"user_dictionary": self.user_dictionary}

    @cached_property
    def _tagger(self) -> fugashi.GenericTagger:
        return open_tagger("%M\\n", "EOS", self.user_dictionary)

    def words(self, text: str) -> list[str]:
        """Return the words of `text`; `"".join(words(text)) == text` always.

        White space stands before the word that it precedes, a newline is a word of its own.
        """
        words: list[str] = []
        for line in _LINE.findall(text):
            if line in "\n\0":
                words.append(line)
            elif len(line) <= LONGEST_LINE:
                words += self._words_of_piece(line)
            else:
                for piece in _cut(line):
                    words += self._words_of_piece(piece)
        return words

    def _words_of_piece(self, piece: str) -> list[str]:
        printed: str = self._tagger.parse(piece)
        words = printed.split("\n")
        assert words.pop() == "EOS", "MeCab ends every word with a newline"
        length = len(printed) - len("EOS") - len(words)
        if length < len(piece):
            # White space at the end precedes no word.
            words.append(piece[length:])
        return words


def open_tagger(word_format: str, end_format: str, user_dictionary: Path | None = None) -> fugashi.GenericTagger:
    r"""MeCab with ipadic that prints a word by `word_format` and then `end_format` (`\n` as in MeCab's manual)."""
    arguments = ["-r", "/dev/null", "-d", ipadic.DICDIR, f"-F{word_format}", f"-U{word_format}", f"-E{end_format}"]
    if user_dictionary is not None:
        # MeCab reads a list in CSV here.
        arguments += ["-u", f'"{user_dictionary}"' if "," in str(user_dictionary) else str(user_dictionary)]
    return fugashi.GenericTagger(shlex.join(arguments))


def _cut(line: str) -> Iterator[str]:
    start = 0
    while len(line) - start > LONGEST_LINE:
        end = line.rfind("。", start, start + LONGEST_LINE) + 1 or start + LONGEST_LINE
        yield line[start:end]
        start = end
    yield line[start:]
