"""For job scripts: an adapter and its base to one Hugging Face directory, as `jmed export hf --base`."""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jmed_jax.cli.arguments import Parser, script
from jmed_jax.cli.command import run
from jmed_jax.cli.model import add_base, add_export_settings, export_hf
from jmed_jax.errors import InputError


def build_parser() -> Parser:
    parser = script(
        _merge,
        "Merge an adapter into its base, a layer at a time in float32, and write the model.",
        example="python tools/merge_adapter.py out/adapter --base Qwen2-7B-Instruct --out out/model",
    )
    parser.add_argument("run", type=Path, metavar="ADAPTER", help="a PEFT directory, or a run that trained an adapter")
    add_base(parser)
    add_export_settings(parser)
    return parser


def _merge(args: Namespace) -> dict[str, Any]:
    from jmed_jax.language_model.loading import is_adapter

    if not is_adapter(args.run):
        raise InputError(f"{args.run}: no adapter here: neither adapter_config.json nor a run with lora.rank.")
    return export_hf(args)


def main(argv: Sequence[str] | None = None) -> int:
    return run(build_parser, argv)


if __name__ == "__main__":
    sys.exit(main())
