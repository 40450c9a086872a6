"""The `jmed` command: one subcommand a stage, nothing but wiring.

Progress goes to standard error, results to standard output; `--json` makes the last line of standard output one JSON
object. Exit codes: 0 done; 1 a failure of ours; 2 bad input or usage, one `error:` line; 130 interrupted.

Handlers import what they need when they run: `jmed --help` imports no JAX and takes a fraction of a second.
"""

from jmed_jax.cli.command import main

__all__ = ["main"]
