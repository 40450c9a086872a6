"""Our models inside EleutherAI's lm-evaluation-harness, which is asked for by name and installed by the user.

>>> python -m jmed_jax.harness run --model jmed --model_args path=out/model --tasks arc_easy

The harness has no way for a package to announce a model: `__main__` registers ours and hands over to its command line.
From Python: `from jmed_jax.harness.model import JmedModel`, and `simple_evaluate(model=JmedModel(path), …)`.
"""
