"""Raw sources as streams of documents: a module for each format, one for which files, one for what they have in common.

One bad record never stops a build: it is counted with its place, and the good ones around it are read. What looks like
a wrong configuration (no such field, not one usable record in a file) stops it at once.
"""

from jmed_jax.corpus.sources.listing import list_source_files, plain_sources
from jmed_jax.corpus.sources.reading import iter_texts, read_documents

__all__ = ["iter_texts", "list_source_files", "plain_sources", "read_documents"]
