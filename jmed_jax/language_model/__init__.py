"""A model with its tokenizer, from a run or from a Hugging Face directory: the Python API.

>>> lm = jmed_jax.load("out/instruct")
>>> lm.generate(["糖尿病の治療は"], max_new_tokens=32)
>>> lm.chat([[{"role": "user", "content": "質問: …"}]], max_new_tokens=32)
>>> lm.save_hf("out/model")

Several adapters of one base, which is in memory once:

>>> lm = jmed_jax.load("Qwen2-7B-Instruct", adapters={"exam": "out/mpeft", "ward": "out/peft-directory"})
>>> lm.with_adapter("exam").chat([[{"role": "user", "content": "質問: …"}]])
"""

from jmed_jax.language_model.export import export_adapter, export_hf
from jmed_jax.language_model.loading import load
from jmed_jax.language_model.model import Adapter, LanguageModel, Message

__all__ = ["Adapter", "LanguageModel", "Message", "export_adapter", "export_hf", "load"]
