"""The corpus of NCVC-slm-1 (arXiv 2412.16423 §2.1, Table 1): 8.99 B tokens, seen 5.5 times.

| source | size | tokens |
| --- | --- | --- |
| Wikipedia ja (Wiki-40B) | 2 GB | 0.55 B |
| OSCAR 2301 ja, after filters | 30 GB | 8.20 B |
| scraped medicine textbooks | 49 MB | 0.01 B |
| synthetic medicine textbooks | 895 MB | 0.23 B |

`--data DIR` names the folder that holds the four. Of documents that are nearly the same the first is kept, so the
better sources come first.
"""

from jmed_jax.corpus.config import CorpusConfig, SourceConfig

# 24,000 steps of 2.10 M tokens over 8.99 B unique ones.
EPOCHS = 5.5


def config() -> CorpusConfig:
    return CorpusConfig(
        name="corpus_ncvc",
        sources=(
            # The paper does not name the textbooks or their licence: any text of your own takes their place.
            SourceConfig("textbooks", ("textbooks",), epochs=EPOCHS),
            SourceConfig("wikipedia", ("wiki40b/ja/1.3.0",), "wiki40b", license="CC BY-SA 3.0", epochs=EPOCHS),
            # Made by `jmed corpus synthesize`.
            SourceConfig("synthetic", ("synthetic",), epochs=EPOCHS, synthetic=True),
            # The collection is CC0; the rights in the pages stay with their authors.
            SourceConfig(
                "oscar", ("oscar/ja_meta/*.jsonl.zst",), "oscar", license="CC0-1.0 (collection)", epochs=EPOCHS
            ),
        ),
        # The tests that the paper reports on (§3).
        evaluation_sets=("igakuqa", "jmed_llm/test"),
    )
