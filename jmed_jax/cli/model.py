"""`jmed export`, `jmed import`: models handed on and taken in. The scripts in tools/ take the same arguments."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from jmed_jax.cli.arguments import Commands, Parser, add_command, add_group, add_output


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    export = add_group(
        commands,
        "export",
        "Hand a model to other programs",
        example="jmed export hf --run out/instruct --out out/model\n"
        "jmed export adapter --run out/mpeft --out out/adapter",
    )
    parser = add_command(
        export,
        "hf",
        export_hf,
        "Write a Hugging Face directory: config, safetensors, tokenizer, model card; an adapter is merged",
        example="jmed export hf --run out/instruct --dtype bfloat16 --out out/model",
    )
    text = "made by `jmed train` or `jmed import`; or a PEFT directory, or a Hugging Face one"
    parser.add_argument("--run", type=Path, required=True, metavar="DIR", help=text)
    add_base(parser)
    add_export_settings(parser)
    parser = add_command(
        export,
        "adapter",
        export_adapter,
        "Write the adapter of a LoRA run as a PEFT directory, for PEFT and vLLM",
        example="jmed export adapter --run out/mpeft --out out/adapter",
    )
    parser.add_argument("--run", type=Path, required=True, metavar="DIR", help="made by `jmed train` with --lora.rank")
    add_output(parser)
    _add_step(parser)
    _add_scores(parser)
    parser = add_command(
        add_group(commands, "import", "Take a model in", example="jmed import hf out/model --out out/imported"),
        "hf",
        import_hf,
        "Turn a Hugging Face directory (Qwen2, Llama, or what `jmed export hf` wrote) into a run",
        example="jmed import hf Qwen2-7B-Instruct --out out/qwen2\n"
        "jmed train configs/jmedllm_7b_mfpt.py --train.initialize-from out/qwen2 --data.rows rows --run out/mfpt",
    )
    add_import_arguments(parser)


def add_import_arguments(parser: Parser) -> None:
    """What `import_hf` takes."""
    parser.add_argument("source", type=Path, metavar="DIR", help="config.json, safetensors and tokenizer files")
    add_output(parser, metavar="RUN")


def add_base(parser: Parser) -> None:
    """`--base`."""
    text = "where the base of an adapter is (default: where the adapter says)"
    parser.add_argument("--base", type=Path, metavar="DIR", help=text)


def add_export_settings(parser: Parser) -> None:
    """What `export_hf` takes, but for the model."""
    add_output(parser)
    text = "the model as it is (default); llama, for NCVC-slm-1: a bit-exact twin for servers that know only Llama"
    parser.add_argument("--format", choices=("arcee", "llama", "qwen2"), help=text)
    text = "(default: bfloat16 for Qwen2 and Llama, float32 for NCVC-slm-1)"
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help=text)
    _add_step(parser)
    _add_scores(parser)


def _add_step(parser: Parser) -> None:
    parser.add_argument("--step", type=int, metavar="N", help="which checkpoint; the newest if none")


def _add_scores(parser: Parser) -> None:
    text = "scores.json of `jmed evaluate`, for the model card (default: the run's own scores)"
    parser.add_argument("--scores", type=Path, metavar="FILE", help=text)


def export_hf(args: Namespace) -> dict[str, Any]:
    """Handler: a run, or an adapter merged with its base, to a Hugging Face directory."""
    from jmed_jax.artifact import check_free

    check_free(args.out, args.overwrite)

    from jmed_jax.language_model import export_hf

    config = export_hf(
        args.run,
        args.out,
        step=args.step,
        base=args.base,
        format=args.format,
        dtype=args.dtype,
        scores=args.scores,
        overwrite=args.overwrite,
    )
    print(f"{args.out}: a Hugging Face directory, {config.num_parameters:,} parameters")
    return {"out": str(args.out), "parameters": config.num_parameters}


def export_adapter(args: Namespace) -> dict[str, Any]:
    """Handler: the adapter of a run to a PEFT directory."""
    from jmed_jax.language_model import export_adapter

    adapter = export_adapter(args.run, args.out, step=args.step, scores=args.scores, overwrite=args.overwrite)
    print(f"{args.out}: an adapter of rank {adapter.lora.rank} for {adapter.base}")
    return {"out": str(args.out), "rank": adapter.lora.rank, "base": adapter.base}


def import_hf(args: Namespace) -> dict[str, Any]:
    """Handler: a Hugging Face directory to a run."""
    from jmed_jax.train.import_run import import_run

    run = import_run(args.source, args.out, overwrite=args.overwrite)
    parameters = run.config.model.num_parameters
    print(f"{args.out}: a run of {parameters:,} parameters at step 0")
    return {"out": str(args.out), "parameters": parameters}
