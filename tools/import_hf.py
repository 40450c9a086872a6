"""For job scripts: a Hugging Face directory to a run, as `jmed import hf`."""

import sys
from collections.abc import Sequence

from jmed_jax.cli.arguments import Parser, script
from jmed_jax.cli.command import run
from jmed_jax.cli.model import add_import_arguments, import_hf


def build_parser() -> Parser:
    parser = script(
        import_hf,
        "Turn a Hugging Face directory (Qwen2, Llama, or what export_hf.py wrote) into a run at step 0.",
        example="python tools/import_hf.py Qwen2-7B-Instruct --out out/qwen2",
    )
    add_import_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    return run(build_parser, argv)


if __name__ == "__main__":
    sys.exit(main())
