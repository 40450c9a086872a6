"""`python -m jmed_jax` is `jmed`."""

import sys

from jmed_jax.cli import main

if __name__ == "__main__":
    sys.exit(main())
