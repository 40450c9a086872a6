"""Progress lines of a training run: once, however many processes work on it."""

from jmed_jax.parallel import distributed
from jmed_jax.progress import say


def announce(message: str) -> None:
    """Print one line to standard error, in process 0 only."""
    if distributed.is_first():
        say(message)
