"""`--model` of `jmed evaluate run`: ours, transformers', a server's, or what somebody's file says it wrote."""

import hashlib
from argparse import Namespace
from pathlib import Path
from typing import Any, NamedTuple

from jmed_jax.backends.protocol import Backend
from jmed_jax.cli.arguments import Parser, positive
from jmed_jax.cli.backends import ENDPOINT_HELP, add_requests, open_endpoint
from jmed_jax.errors import InputError


class Evaluated(NamedTuple):
    """A model to evaluate."""

    backend: Backend
    info: dict[str, Any]
    """What `scores.json` says of it: name, and where known parameters, step and tokens."""
    identity: str
    """Of all that decides its answers."""


def add_evaluated_model(parser: Parser) -> None:
    """`--model`, and what belongs to its kinds."""
    text = "DIR (a run or a Hugging Face directory, on JAX), hf:DIR (with transformers), openai:NAME, or file:PATH"
    parser.add_argument("--model", required=True, metavar="MODEL", help=text)
    group = parser.add_argument_group("DIR and hf:DIR")
    group.add_argument("--step", type=positive, metavar="N", help="the checkpoint of a run (default: the newest)")
    group.add_argument("--four-bit", action="store_true", help="hf: weights in 4 bits; needs bitsandbytes and a GPU")
    group.add_argument("--batch-size", type=positive, default=16, metavar="N", help="of hf:DIR (default: 16)")
    group = parser.add_argument_group("file:PATH, a file or directory of predictions")
    group.add_argument("--system", metavar="NAME", help="which one, where the file holds several")
    group = parser.add_argument_group("a judge of open-ended answers")
    group.add_argument("--judge", metavar="MODEL", help="as --model: grades every answer from 0 to 10")
    group.add_argument("--judge-endpoint", metavar="URL", help="the server of --judge openai:NAME")
    group = parser.add_argument_group("openai:NAME, a model as its server calls it")
    group.add_argument("--endpoint", metavar="URL", help=ENDPOINT_HELP)
    add_requests(group)


def open_evaluated_model(args: Namespace) -> Evaluated:
    """The model that the options choose.

    Raises:
        InputError: it cannot be opened, or an option is for another kind of model.
    """
    kind, _, name = args.model.partition(":")
    if kind not in ("hf", "openai", "file") or not name:
        kind, name = "", args.model
    _check_options(args, kind)
    if kind == "openai":
        return _open_endpoint(args, name)
    path = Path(name)
    if kind == "file":
        from jmed_jax.backends.replay import Replay

        replay = Replay(path, system=args.system)
        return Evaluated(replay, {"name": replay.name}, replay.sha256)
    if not path.is_dir():
        raise InputError(f"{path}: no such directory of a model. Other models are openai:NAME, hf:DIR and file:PATH.")
    if kind == "hf":
        from jmed_jax.backends.huggingface import HuggingFaceModel

        model = HuggingFaceModel(path, batch_size=args.batch_size, four_bit=args.four_bit)
        return Evaluated(model, {"name": model.name, "parameters": model.parameters}, _files_identity(path))
    return _open_ours(path, args.step)


def open_judge(args: Namespace) -> Backend | None:
    """The model of `--judge`, with the options of requests that the evaluated one has too; None without one.

    Raises:
        InputError: as `open_evaluated_model`.
    """
    if not args.judge:
        return None
    other = {"model": args.judge, "endpoint": args.judge_endpoint, "step": None, "four_bit": False, "system": None}
    if not args.judge.startswith("openai:"):
        other |= {"key_variable": None, "max_requests": None, "max_tokens": None}
    return open_evaluated_model(Namespace(**{**vars(args), **other})).backend


def _check_options(args: Namespace, kind: str) -> None:
    for option, value, kinds in (
        ("--endpoint", args.endpoint, ("openai",)),
        ("--key-variable", args.key_variable, ("openai",)),
        ("--max-requests", args.max_requests, ("openai",)),
        ("--max-tokens", args.max_tokens, ("openai",)),
        ("--four-bit", args.four_bit, ("hf",)),
        ("--system", args.system, ("file",)),
        ("--step", args.step, ("",)),
    ):
        if value and kind not in kinds:
            raise InputError(f"{option} is for --model {kinds[0] + ':…' if kinds[0] else 'DIR'}, not {args.model}.")


def _open_endpoint(args: Namespace, name: str) -> Evaluated:
    if not args.endpoint:
        raise InputError("--model openai:NAME needs --endpoint URL, the server that has it.")
    backend = open_endpoint(args, name)
    return Evaluated(backend, {"name": backend.name}, f"{backend.url} {name}")


def _open_ours(path: Path, step: int | None) -> Evaluated:
    from jmed_jax.artifact import file_sha256
    from jmed_jax.language_model import load
    from jmed_jax.language_model.backend import OurModel
    from jmed_jax.train.checkpoint import Checkpoints
    from jmed_jax.train.run import RUN_FILE, open_run

    is_run = (path / RUN_FILE).is_file()
    if step is not None and not is_run:
        raise InputError(f"{path}: --step is for a run, and this is none.")
    if is_run and step is None:
        checkpoints = Checkpoints(path)
        step = checkpoints.latest_step()
        checkpoints.close()
    model = load(path, step=step)
    name = f"{model.name} step {step}" if is_run else model.name
    info: dict[str, Any] = {"name": name, "parameters": model.config.num_parameters}
    identity = f"{file_sha256(path / RUN_FILE)} {step}" if is_run else _files_identity(path)
    if is_run and step is not None:
        info |= {"step": step, "tokens": step * open_run(path).config.tokens_per_step}
    return Evaluated(OurModel(model), info, identity)


def _files_identity(path: Path) -> str:
    """Over names, sizes and times: hashing the weights of a large model takes minutes."""
    files = sorted(file for file in path.iterdir() if file.is_file())
    lines = "".join(f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()
