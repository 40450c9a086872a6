"""How fast text becomes a corpus and a corpus becomes rows, as ratios within one run.

    python tools/bench_corpus.py texts.jsonl.gz … [--megabytes 20] [--rounds 5] [--save]

1. encode: cleaning, MeCab and Unigram as `jmed pack` does them, against bare fugashi (wakati) and sentencepiece on the
   same text, one process each. Goal: at least .60 of their speed.
2. processes: the corpus build, and encoding for packing, in two processes against one. Goal: at least 1.8.
3. pack: ids to rows on disk. Goal: at least 2 M tokens/s.

Prints megabytes (UTF-8) and documents a second, and the hours that the paper's 33 GB (arXiv 2412.16423 Table 1) would
take on 2 and on 64 cores if cores add up, which 2 shows and 64 assumes.
"""

import argparse
import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fugashi
import ipadic
import sentencepiece
from timing import median_ratio, save, take_turns

from jmed_jax.config import TokenizerConfig
from jmed_jax.corpus import tasks
from jmed_jax.corpus.config import CorpusConfig, SourceConfig
from jmed_jax.corpus.executors import Executor
from jmed_jax.corpus.pipeline import build_corpus
from jmed_jax.corpus.sources import iter_texts
from jmed_jax.data.pack import PackCounts, encode_documents, pack_concat
from jmed_jax.data.rows import RowFormat, write_shards
from jmed_jax.jsonl import write_jsonl
from jmed_jax.tokenizer.clean import clean
from jmed_jax.tokenizer.core import MODEL_FILE
from jmed_jax.tokenizer.tokenizer import Tokenizer, train_tokenizer

PAPER_BYTES = 33e9
VOCABULARY = 8192
ROW_LENGTH = 2048


def main() -> None:
    """Run all three and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path, nargs="+", help=".jsonl or .txt files, plain, .gz or .zst")
    parser.add_argument("--megabytes", type=float, default=20, help="of text to use (default: 20)")
    parser.add_argument("--rounds", type=int, default=5, help="that count, after one that does not (default: 5)")
    parser.add_argument("--save", action="store_true", help="write the result to tools/results/")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), read_texts(args.texts, args.megabytes * 1e6), args.rounds)
        result = bench.run()
    print(*(f"{name}: {value}" for name, value in result.items()), sep="\n")
    if args.save:
        print(save("bench_corpus", result, ("fugashi", "sentencepiece", "datatrove", "numpy")))


def read_texts(files: Sequence[Path], limit: float) -> list[str]:
    """Documents in turn from every file, up to `limit` bytes of UTF-8."""
    texts: list[str] = []
    size = 0
    for row in itertools.zip_longest(*(iter_texts(file) for file in files)):
        for text in filter(None, row):
            if size >= limit:
                return texts
            texts.append(text)
            size += len(text.encode())
    return texts


class Bench:
    """The measurements, on one text."""

    def __init__(self, folder: Path, texts: list[str], rounds: int) -> None:
        self.folder = folder
        self.texts = texts
        self.rounds = rounds
        self.megabytes = sum(len(text.encode()) for text in texts) / 1e6
        made = train_tokenizer(texts, TokenizerConfig(vocab_size=VOCABULARY), folder / "tokenizer", dictionary=None)
        self.tokenizer = Tokenizer.load(made.path)

    def run(self) -> dict[str, Any]:
        """Every figure by its name."""
        return {
            "text": f"{self.megabytes:.1f} MB, {len(self.texts):,} documents",
            "rounds": self.rounds,
            **self.encode(),
            **self.processes(),
            **self.pack(),
        }

    def encode(self) -> dict[str, Any]:
        """Ours against the bare libraries, one process."""
        core = self.tokenizer.core
        tagger = fugashi.GenericTagger(f"-r /dev/null -d {ipadic.DICDIR} -Owakati")
        processor = sentencepiece.SentencePieceProcessor(model_file=str(self.tokenizer.path / MODEL_FILE))
        cleaned = [clean(text) for text in self.texts]

        def bare() -> None:
            for text in self.texts:
                for line in text.split("\n"):
                    processor.encode(tagger.parse(line))

        seconds = take_turns(
            {
                "ours": lambda: [core.encode(text) for text in self.texts],
                "bare": bare,
                "clean": lambda: [clean(text) for text in self.texts],
                "encode_cleaned": lambda: [core.encode_cleaned(text) for text in cleaned],
            },
            self.rounds,
        )
        speeds = {name: self.megabytes / sorted(times)[len(times) // 2] for name, times in seconds.items()}
        return {
            "encode_speed_to_bare_libraries": round(median_ratio(seconds["bare"], seconds["ours"]), 3),
            "encode_megabytes_a_second": {name: round(speed, 2) for name, speed in speeds.items()},
            "encode_documents_a_second": round(speeds["ours"] * len(self.texts) / self.megabytes),
        }

    def processes(self) -> dict[str, Any]:
        """The build and the encoding in two processes against one."""
        # Ten files, so that two processes have enough to share.
        (self.folder / "raw").mkdir()
        for number in range(10):
            rows = ({"id": str(i), "text": text} for i, text in enumerate(self.texts[number::10]))
            write_jsonl(self.folder / "raw" / f"part-{number}.jsonl", rows)
        tasks.SMALLEST_TASK_BYTES = 1
        config = CorpusConfig("bench", (SourceConfig("bench", ("raw",), license="CC0"),))

        def build(workers: int) -> None:
            out = self.folder / "corpus"
            build_corpus(config, out, data=self.folder, executor=Executor("local", workers), overwrite=True)

        cleaned = [clean(text) for text in self.texts]

        def encode(workers: int) -> None:
            for _ in encode_documents(self.tokenizer, cleaned, PackCounts(), workers=workers):
                pass

        seconds = take_turns(
            {
                "build 1": lambda: build(1),
                "build 2": lambda: build(2),
                "encode 1": lambda: encode(1),
                "encode 2": lambda: encode(2),
            },
            self.rounds,
        )
        speeds = {name: self.megabytes / sorted(times)[len(times) // 2] for name, times in seconds.items()}
        both = 1 / (1 / speeds["build 2"] + 1 / speeds["encode 2"])
        hours = PAPER_BYTES / 1e6 / both / 3600
        return {
            "build_two_processes_to_one": round(median_ratio(seconds["build 1"], seconds["build 2"]), 3),
            "encode_two_processes_to_one": round(median_ratio(seconds["encode 1"], seconds["encode 2"]), 3),
            "processes_megabytes_a_second": {name: round(speed, 2) for name, speed in speeds.items()},
            "projected_hours_for_33_gb": {"2 cores": round(hours, 1), "64 cores": round(hours / 32, 2)},
        }

    def pack(self) -> dict[str, Any]:
        """Ids that are there already, into rows on disk."""
        documents = list(encode_documents(self.tokenizer, [clean(text) for text in self.texts], PackCounts()))
        tokens = sum(map(len, documents))
        row_format = RowFormat(ROW_LENGTH, self.tokenizer.base_vocab_size)

        def pack() -> None:
            rows = pack_concat(documents, ROW_LENGTH, self.tokenizer.pad_id, PackCounts())
            write_shards(rows, self.folder, row_format)

        seconds = sorted(take_turns({"pack": pack}, self.rounds)["pack"])
        return {"pack_million_tokens_a_second": round(tokens / seconds[len(seconds) // 2] / 1e6, 2)}


if __name__ == "__main__":
    main()
