"""`jmed export`, `jmed import`, `jmed analyze`: what is done with a model."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jmed_jax.cli.arguments import Commands, Parser, add_command, add_group, add_model, add_output, positive
from jmed_jax.cli.streams import print_table

if TYPE_CHECKING:
    from jmed_jax.analysis.embeddings import Term


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    export = add_group(
        commands,
        "export",
        "Hand a model to other programs",
        example="jmed export hf --run out/instruct --out out/model\n"
        "jmed export adapter --run out/mpeft --out out/adapter",
    )
    _add_export(export)
    _add_export_adapter(export)
    _add_import(add_group(commands, "import", "Take a model in", example="jmed import hf out/model --out out/imported"))
    _add_analyze(
        add_group(
            commands,
            "analyze",
            "Look inside a model",
            example="jmed analyze tokens --model out/pretrain --nearest 肺炎",
        )
    )


# --- export, import ---------------------------------------------------------------------------------------------------


def _add_export(group: Commands) -> None:
    parser = add_command(
        group,
        "hf",
        _export,
        "Write a Hugging Face directory: config, safetensors, tokenizer, model card; an adapter is merged",
        example="jmed export hf --run out/instruct --dtype bfloat16 --out out/model",
    )
    text = "made by `jmed train` or `jmed import`; or a PEFT directory, or a Hugging Face one"
    parser.add_argument("--run", type=Path, required=True, metavar="DIR", help=text)
    add_output(parser)
    text = "the model as it is (default); llama, for NCVC-slm-1: a bit-exact twin for servers that know only Llama"
    parser.add_argument("--format", choices=("arcee", "llama", "qwen2"), help=text)
    text = "(default: bfloat16 for Qwen2 and Llama, float32 for NCVC-slm-1)"
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help=text)
    _add_step(parser)
    text = "scores.json of `jmed evaluate`, for the model card (default: the run's own scores)"
    parser.add_argument("--scores", type=Path, metavar="FILE", help=text)


def _add_step(parser: Parser) -> None:
    parser.add_argument("--step", type=int, metavar="N", help="which checkpoint; the newest if none")


def _export(args: Namespace) -> dict[str, Any]:
    from jmed_jax.artifact import check_free

    check_free(args.out, args.overwrite)

    from jmed_jax.language_model import load

    model = load(args.run, step=args.step)
    model.save_hf(args.out, format=args.format, dtype=args.dtype, scores=args.scores, overwrite=args.overwrite)
    parameters = model.config.num_parameters
    print(f"{args.out}: a Hugging Face directory, {parameters:,} parameters")
    return {"out": str(args.out), "parameters": parameters}


def _add_export_adapter(group: Commands) -> None:
    parser = add_command(
        group,
        "adapter",
        _export_adapter,
        "Write the adapter of a LoRA run as a PEFT directory, for PEFT and vLLM",
        example="jmed export adapter --run out/mpeft --out out/adapter",
    )
    parser.add_argument("--run", type=Path, required=True, metavar="DIR", help="made by `jmed train` with --lora.rank")
    add_output(parser)
    _add_step(parser)


def _export_adapter(args: Namespace) -> dict[str, Any]:
    from jmed_jax.language_model import export_adapter

    adapter = export_adapter(args.run, args.out, step=args.step, overwrite=args.overwrite)
    print(f"{args.out}: an adapter of rank {adapter.lora.rank} for {adapter.base}")
    return {"out": str(args.out), "rank": adapter.lora.rank, "base": adapter.base}


def _add_import(group: Commands) -> None:
    parser = add_command(
        group,
        "hf",
        _import,
        "Turn a Hugging Face directory (Qwen2, Llama, or what `jmed export hf` wrote) into a run",
        example="jmed import hf Qwen2-7B-Instruct --out out/qwen2\n"
        "jmed train configs/jmedllm_7b_mfpt.py --train.initialize-from out/qwen2 --data.rows rows --run out/mfpt",
    )
    parser.add_argument("source", type=Path, metavar="DIR", help="config.json, safetensors and tokenizer files")
    add_output(parser, metavar="RUN")


def _import(args: Namespace) -> dict[str, Any]:
    from jmed_jax.train.import_run import import_run

    run = import_run(args.source, args.out, overwrite=args.overwrite)
    parameters = run.config.model.num_parameters
    print(f"{args.out}: a run of {parameters:,} parameters at step 0")
    return {"out": str(args.out), "parameters": parameters}


# --- analyze ----------------------------------------------------------------------------------------------------------


def _add_analyze(group: Commands) -> None:
    parser = add_command(
        group,
        "tokens",
        _tokens,
        "Tokens whose embeddings are nearest to a term's",
        example="jmed analyze tokens --model out/pretrain --nearest 肺炎",
    )
    _add_analysis(parser)
    parser.add_argument("--nearest", required=True, metavar="TERM", help="its vector is the mean over its tokens")

    parser = add_command(
        group,
        "analogy",
        _analogy,
        "Tokens nearest to a sum of terms",
        example="jmed analyze analogy --model out/pretrain 脳出血 - 脳 + 消化管",
    )
    _add_analysis(parser)
    text = "terms with + and - between them, as words of their own"
    parser.add_argument("expression", nargs="+", metavar="TERM", help=text)


def _add_analysis(parser: Parser) -> None:
    add_model(parser)
    text = "choose among these terms, one a line, instead of the vocabulary"
    parser.add_argument("--candidates", type=Path, metavar="FILE", help=text)
    parser.add_argument("--count", type=positive, default=10, metavar="N", help="how many to show (default: 10)")


def _tokens(args: Namespace) -> dict[str, Any]:
    from jmed_jax.analysis.embeddings import Term

    return {"nearest": args.nearest, "neighbours": _neighbours(args, [Term(1, args.nearest)])}


def _analogy(args: Namespace) -> dict[str, Any]:
    from jmed_jax.analysis.embeddings import parse_analogy

    expression = " ".join(args.expression)
    return {"analogy": expression, "neighbours": _neighbours(args, parse_analogy(expression))}


def _neighbours(args: Namespace, terms: "Sequence[Term]") -> list[dict[str, Any]]:
    from jmed_jax.analysis.embeddings import TokenEmbeddings
    from jmed_jax.jsonl import read_lines
    from jmed_jax.language_model import load

    among = [line for _, line in read_lines(args.candidates) if line.strip()] if args.candidates else None
    embeddings = TokenEmbeddings.of(load(args.model))
    vector = embeddings.combine(terms)
    found = embeddings.nearest(vector, args.count, exclude={term.text for term in terms}, among=among)
    print_table(("text", "cosine"), found)
    return [neighbour._asdict() for neighbour in found]
