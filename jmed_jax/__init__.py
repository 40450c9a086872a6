"""Japanese medical language models with JAX, from raw text to served weights.

>>> import jmed_jax
>>> lm = jmed_jax.load("out/instruct")          # a run or a Hugging Face directory
>>> lm.generate(["高血圧の治療は?"], max_new_tokens=64)

Importing the package is cheap: JAX is imported when the first model is loaded.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["LanguageModel", "__version__", "load"]

if TYPE_CHECKING:
    from jmed_jax.language_model import LanguageModel, load


def __getattr__(name: str) -> Any:
    if name in ("LanguageModel", "load"):
        return getattr(import_module("jmed_jax.language_model"), name)
    raise AttributeError(f"module 'jmed_jax' has no attribute {name!r}")
