"""The text of the small clinical model: medical text, some of an encyclopedia, and the documents of training questions.

`--data DIR` names a folder that holds `pretrain/` and `jmed_llm/` (the data folder's) and `questions.jsonl`: reports,
notes, posts and sentences that the training questions of JMED-LLM are about, by `tools/reproduce.py`. The epochs make
3.5 M tokens of it, what two cores read in ten minutes; they were not searched.
"""

from jmed_jax.corpus.config import CorpusConfig, SourceConfig


def config() -> CorpusConfig:
    return CorpusConfig(
        name="corpus_clinical_small",
        sources=(
            SourceConfig("intractable", ("pretrain/mhlw_intractable_diseases.jsonl.gz",), epochs=1.5),
            SourceConfig("pediatric", ("pretrain/pediatric_chronic_diseases.jsonl.gz",), epochs=1.5),
            # Posts and single sentences are short and end without a full stop.
            SourceConfig(
                "questions",
                ("questions.jsonl",),
                skip_filters=("too_short", "unfinished_sentences", "no_kana", "truncated"),
                epochs=4,
            ),
            SourceConfig("wikipedia", ("pretrain/wikipedia_jaquad.jsonl.gz",), epochs=0.25),
            SourceConfig("wikipedia_short", ("pretrain/wikipedia_jsquad.jsonl.gz",)),
        ),
        # Reports that say nearly the same are written about different patients.
        near_duplicates=False,
        evaluation_sets=("jmed_llm/test", "igakuqa"),
    )
