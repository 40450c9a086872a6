"""The harness's own command line, in which `--model jmed` is one of our models."""

import sys
from collections.abc import Sequence

NAME = "jmed"


def main(arguments: Sequence[str] | None = None) -> int:
    """Register our model and run `lm-eval` with the arguments."""
    try:
        from lm_eval import __main__ as harness
        from lm_eval.api.registry import model_registry
    except ImportError as error:
        print(f"error: {error}. Install it: pip install 'lm_eval>=0.4.9'", file=sys.stderr)
        return 2
    if NAME not in model_registry:
        model_registry.register(NAME, target="jmed_jax.harness.model:JmedModel")
    sys.argv = ["lm-eval", *(sys.argv[1:] if arguments is None else arguments)]
    harness.cli_evaluate()
    return 0


if __name__ == "__main__":
    sys.exit(main())
