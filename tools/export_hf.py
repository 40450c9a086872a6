"""For job scripts: a run to a Hugging Face directory, or its adapter to a PEFT one, as `jmed export hf|adapter`."""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jmed_jax.cli.arguments import Parser, script
from jmed_jax.cli.command import run
from jmed_jax.cli.model import add_base, add_export_settings, export_adapter, export_hf
from jmed_jax.errors import InputError


def build_parser() -> Parser:
    parser = script(
        _export,
        "Write a run as a Hugging Face directory (an adapter merged), or with --adapter its adapter as a PEFT one.",
        example="python tools/export_hf.py out/mpeft --out out/model\n"
        "python tools/export_hf.py out/mpeft --adapter --out out/adapter",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="made by `jmed train` or `jmed import`")
    parser.add_argument("--adapter", action="store_true", help="the adapter alone, as PEFT and vLLM load it")
    add_base(parser)
    add_export_settings(parser)
    return parser


def _export(args: Namespace) -> dict[str, Any]:
    if not args.adapter:
        return export_hf(args)
    for name in ("base", "format", "dtype"):
        if getattr(args, name):
            raise InputError(f"--adapter writes the adapter as it is; leave out --{name}.")
    return export_adapter(args)


def main(argv: Sequence[str] | None = None) -> int:
    return run(build_parser, argv)


if __name__ == "__main__":
    sys.exit(main())
