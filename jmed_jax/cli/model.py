"""`jmed generate`, `jmed chat`, `jmed export`, `jmed import`, `jmed analyze`: what is done with a model."""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jmed_jax.cli.arguments import Commands, Parser, add_command, add_group, add_model, add_output, positive
from jmed_jax.cli.streams import print_table, stdin_lines, texts_or_stdin
from jmed_jax.errors import InputError
from jmed_jax.progress import say

if TYPE_CHECKING:
    from jmed_jax.analysis.embeddings import Term


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    _add_generate(commands)
    _add_chat(commands)
    _add_export(
        add_group(
            commands,
            "export",
            "Hand a model to other programs",
            example="jmed export hf --run out/instruct --out out/model",
        )
    )
    _add_import(add_group(commands, "import", "Take a model in", example="jmed import hf out/model --out out/imported"))
    _add_analyze(
        add_group(
            commands,
            "analyze",
            "Look inside a model",
            example="jmed analyze tokens --model out/pretrain --nearest 肺炎",
        )
    )


# --- generate, chat ---------------------------------------------------------------------------------------------------


def _add_generate(commands: Commands) -> None:
    parser = add_command(
        commands,
        "generate",
        _generate,
        "Continue texts, greedily",
        example="jmed generate --model out/pretrain 糖尿病の治療は\n"
        "jmed generate --model out/instruct --chat --max-new-tokens 64 < questions.txt",
    )
    add_model(parser)
    parser.add_argument("prompts", nargs="*", metavar="PROMPT", help="without any, lines of standard input")
    _add_max_new_tokens(parser)
    text = "give each prompt as a user's message to an instruction-tuned model"
    parser.add_argument("--chat", action="store_true", help=text)


def _add_max_new_tokens(parser: Parser) -> None:
    text = "longest answer (default: 128)"
    parser.add_argument("--max-new-tokens", type=positive, default=128, metavar="N", help=text)


def _generate(args: Namespace) -> dict[str, Any]:
    prompts = list(texts_or_stdin(args.prompts))
    if not prompts:
        raise InputError("no prompt: give one on the command line, or lines on standard input.")

    from jmed_jax.language_model import load

    model = load(args.model)
    if args.chat:
        conversations = [[{"role": "user", "content": prompt}] for prompt in prompts]
        answers = model.chat(conversations, max_new_tokens=args.max_new_tokens)
    else:
        answers = model.generate(prompts, max_new_tokens=args.max_new_tokens)
    for answer in answers:
        # An answer a line, so that lines of standard input find theirs.
        print(answer if len(answers) == 1 else answer.replace("\n", "\\n"))
    return {"prompts": prompts, "answers": answers}


def _add_chat(commands: Commands) -> None:
    parser = add_command(
        commands,
        "chat",
        _chat,
        "Talk with an instruction-tuned model; Ctrl-D or Ctrl-C ends it",
        example='jmed chat --model out/instruct --system "医学の質問に答えてください。"',
    )
    add_model(parser)
    parser.add_argument("--system", metavar="TEXT", help="message that stands before the conversation")
    _add_max_new_tokens(parser)


def _chat(args: Namespace) -> dict[str, Any]:
    from jmed_jax.language_model import load

    model = load(args.model)
    messages = [{"role": "system", "content": args.system}] if args.system else []
    _prompt()
    try:
        for line in stdin_lines():
            if line.strip():
                messages.append({"role": "user", "content": line})
                answer = model.chat([messages], max_new_tokens=args.max_new_tokens)[0]
                messages.append({"role": "assistant", "content": answer})
                print(answer, flush=True)
            _prompt()
    except KeyboardInterrupt:
        say("")
    return {"messages": messages}


def _prompt() -> None:
    if sys.stdin.isatty():
        print("> ", end="", file=sys.stderr, flush=True)


# --- export, import ---------------------------------------------------------------------------------------------------


def _add_export(group: Commands) -> None:
    parser = add_command(
        group,
        "hf",
        _export,
        "Write a Hugging Face directory: config, safetensors, tokenizer",
        example="jmed export hf --run out/instruct --dtype bfloat16 --out out/model",
    )
    parser.add_argument("--run", type=Path, required=True, metavar="DIR", help="made by `jmed train`")
    add_output(parser)
    text = "arcee: the model as it is; llama: a bit-exact twin for servers that know only Llama (default: arcee)"
    parser.add_argument("--format", choices=("arcee", "llama"), default="arcee", help=text)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="(default: float32)")
    parser.add_argument("--step", type=int, metavar="N", help="which checkpoint; the newest if none")


def _export(args: Namespace) -> dict[str, Any]:
    from jmed_jax.artifact import check_free

    check_free(args.out, args.overwrite)

    from jmed_jax.language_model import load

    model = load(args.run, step=args.step)
    model.save_hf(args.out, format=args.format, dtype=args.dtype, overwrite=args.overwrite)
    parameters = model.config.num_parameters
    print(f"{args.out}: {args.format} model, {parameters:,} parameters in {args.dtype}")
    return {"out": str(args.out), "format": args.format, "dtype": args.dtype, "parameters": parameters}


def _add_import(group: Commands) -> None:
    parser = add_command(
        group,
        "hf",
        _import,
        "Turn a Hugging Face directory that `jmed export hf` wrote into a run",
        example="jmed import hf out/model --out out/imported\n"
        "jmed train configs/ncvc_slm_instruct.py --train.initialize-from out/imported --data.rows rows --run out/tuned",
    )
    parser.add_argument("source", type=Path, metavar="DIR", help="Hugging Face directory of format arcee")
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
