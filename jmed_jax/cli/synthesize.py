"""`jmed corpus synthesize`: textbook sections and exercises on topics, by templates or by a model."""

import hashlib
from argparse import ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jmed_jax.cli.arguments import Commands, Parser, add_command, add_output, positive
from jmed_jax.cli.backends import add_backend, in_words, open_backend
from jmed_jax.cli.streams import report_artifact
from jmed_jax.corpus.synthetic.prompts import KINDS, TASKS
from jmed_jax.errors import InputError

if TYPE_CHECKING:
    from jmed_jax.backends.protocol import Backend
    from jmed_jax.corpus.synthetic.facts import Facts
    from jmed_jax.corpus.synthetic.prompts import Prompts
    from jmed_jax.corpus.synthetic.writers import Writer


def add_synthesize(group: Commands) -> None:
    """Add `synthesize` to `jmed corpus`."""
    parser = add_command(
        group,
        "synthesize",
        _synthesize,
        "Write textbook sections or exercises on topics; a killed run goes on where it was",
        example="jmed corpus synthesize --topics diseases.txt --kind disease --task textbook --dictionary lists/ "
        "--license CC-BY-4.0 --out out/textbook\n"
        "jmed corpus synthesize --topics drugs.txt --kind drug --task pharmacist_exam --generator model "
        "--endpoint http://localhost:8000 --endpoint-model qwen --license none --out out/exercises",
    )
    text = "a topic a line, or a published term list"
    parser.add_argument("--topics", type=Path, nargs="+", required=True, metavar="FILE", help=text)
    parser.add_argument("--kind", choices=KINDS, required=True, help="of the topics")
    parser.add_argument("--task", choices=TASKS, required=True, help="what to write")
    text = "of a topic, at most, for the examinations (default: 5)"
    parser.add_argument("--exercises", type=positive, default=5, metavar="N", help=text)
    text = "template (default): state what the lists of --dictionary say, nothing else; model: ask one"
    parser.add_argument("--generator", choices=("template", "model"), default="template", help=text)
    text = "published term lists; with a model, they give the other names of a topic"
    parser.add_argument("--dictionary", type=Path, nargs="+", metavar="PATH", help=text)
    text = "of the documents: of the lists, or what the model's terms say"
    parser.add_argument("--license", required=True, metavar="NAME", help=text)
    parser.add_argument("--seed", type=int, default=0, help="of the templates' choices (default: 0)")
    text = "only the I-th of N equal shares of the topics, to share them out among generators"
    parser.add_argument("--share", type=_share, default=(1, 1), metavar="I/N", help=text)
    _add_asking(parser)
    add_backend(parser)
    add_output(parser)


def _add_asking(parser: Parser) -> None:
    group = parser.add_argument_group("how a model is asked")
    text = "wording of the prompts, instead of the package's own"
    group.add_argument("--prompts", type=Path, metavar="FILE", help=text)
    text = "answers that are looked at before a topic is given up (default: 3)"
    group.add_argument("--tries", type=positive, default=3, metavar="N", help=text)
    group.add_argument(
        "--max-new-tokens", type=positive, default=3072, metavar="N", help="of an answer (default: 3072)"
    )
    text = "shorter answers are of no use (default: 200)"
    group.add_argument("--least-characters", type=positive, default=200, metavar="N", help=text)
    text = "finish without the topics that the model gave no answer for"
    group.add_argument("--leave-unanswered", action="store_true", help=text)


def _share(text: str) -> tuple[int, int]:
    share, _, shares = text.partition("/")
    if share.isdecimal() and shares.isdecimal() and 1 <= int(share) <= int(shares):
        return int(share), int(shares)
    raise ArgumentTypeError(f"{text!r} is not I/N, e.g. 1/3")


def _synthesize(args: Namespace) -> dict[str, Any]:
    from jmed_jax.artifact import check_free, file_sha256
    from jmed_jax.corpus.synthetic.facts import read_facts
    from jmed_jax.corpus.synthetic.prompts import load_prompts
    from jmed_jax.corpus.synthetic.synthesize import SynthesisConfig, synthesize
    from jmed_jax.corpus.synthetic.topics import read_topics, share_topics

    check_free(args.out, args.overwrite)
    _check_arguments(args)
    topics = share_topics(read_topics(args.topics, args.kind), *args.share)
    prompts = load_prompts(args.kind, args.task, args.prompts)
    backend = open_backend(args) if args.generator == "model" else None
    facts = read_facts(args.dictionary) if args.dictionary else None
    exercises = 0 if args.task == "textbook" else args.exercises
    config = SynthesisConfig(args.kind, args.task, prompts.title, args.license, exercises, args.seed)
    made = synthesize(
        topics,
        _writer(args, backend, prompts, facts, exercises),
        config,
        args.out,
        settings=_settings(args, prompts) if backend else {},
        inputs={path.name: file_sha256(path) for path in args.topics} | (facts.inputs if facts else {}),
        leave_unanswered=args.leave_unanswered,
        overwrite=args.overwrite,
    )
    result = report_artifact(made)
    if backend and backend.counts:
        print(f"{backend.name}: {in_words(backend.counts)}")
    return result


def _check_arguments(args: Namespace) -> None:
    if args.generator == "model":
        return
    if args.endpoint or args.model:
        raise InputError("--endpoint and --model are for --generator model.")
    if not args.dictionary:
        raise InputError("--generator template needs --dictionary: it says only what published term lists say.")


def _writer(
    args: Namespace, backend: "Backend | None", prompts: "Prompts", facts: "Facts | None", exercises: int
) -> "Writer":
    from jmed_jax.corpus.synthetic.writers import ModelWriter, TemplateWriter

    if backend is None:
        assert facts is not None
        return TemplateWriter(facts, kind=args.kind, task=args.task, exercises=exercises, seed=args.seed)
    return ModelWriter(
        backend,
        prompts,
        facts=facts,
        kind=args.kind,
        exercises=exercises,
        tries=args.tries,
        max_new_tokens=args.max_new_tokens,
        least_characters=args.least_characters,
    )


def _settings(args: Namespace, prompts: "Prompts") -> dict[str, Any]:
    """What the answers of a model depend on beside the configuration."""
    return {
        "prompts": hashlib.sha256(repr(prompts).encode()).hexdigest(),
        "max_new_tokens": args.max_new_tokens,
        "least_characters": args.least_characters,
    }
