"""Export of a tokenizer for `transformers.AutoTokenizer` (with `trust_remote_code=True`, for MeCab)."""

import json
import shutil
from pathlib import Path
from typing import Any

from jmed_jax.tokenizer.core import (
    BEGIN_OF_TEXT,
    CHAT_TEMPLATE,
    CHAT_TOKENS,
    END_OF_TEXT,
)
from jmed_jax.tokenizer.tokenizer import Tokenizer

CODE_FILES = ("clean.py", "contacts.py", "core.py", "morphology.py", "tokenization_jmed.py")


def write_huggingface_tokenizer(tokenizer: Tokenizer, out: Path, *, model_max_length: int) -> None:
    """Write everything that `AutoTokenizer.from_pretrained(out, trust_remote_code=True)` needs.

    That works without jmed_jax installed, and gives the same ids and text.

    Args:
        out: an existing or new directory; files of the same names are replaced.
        model_max_length: context length of the model that it is for.
    """
    out.mkdir(parents=True, exist_ok=True)
    for name in CODE_FILES:
        shutil.copyfile(Path(__file__).with_name(name), out / name)
    tokenizer.copy_files(out)
    config = json.dumps(_configuration(tokenizer, model_max_length), ensure_ascii=False, indent=2)
    (out / "tokenizer_config.json").write_text(config + "\n", encoding="utf-8")


def _configuration(tokenizer: Tokenizer, model_max_length: int) -> dict[str, Any]:
    special = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    return {
        "tokenizer_class": "JmedTokenizer",
        "auto_map": {"AutoTokenizer": ["tokenization_jmed.JmedTokenizer", None]},
        "bos_token": BEGIN_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "pad_token": END_OF_TEXT,
        "extra_special_tokens": list(CHAT_TOKENS),
        "added_tokens_decoder": {
            str(index): {"content": token, **special} for token, index in tokenizer.core.control_ids.items()
        },
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "model_max_length": model_max_length,
        "padding_side": "left",
    }
