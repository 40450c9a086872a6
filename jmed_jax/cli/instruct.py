"""`jmed data instructions`, `translate`, `copies` and `terms`: conversations that are not a benchmark's own rows."""

from argparse import ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jmed_jax.cli.arguments import Commands, add_command, add_output, add_prompts, add_seed, key_value, positive
from jmed_jax.cli.backends import add_backend, in_words, open_backend
from jmed_jax.errors import InputError
from jmed_jax.progress import say

if TYPE_CHECKING:
    from jmed_jax.instruct.instructions import Source


def add_instruct(group: Commands) -> None:
    """Add the commands of this module to `jmed data`."""
    _add_instructions(group)
    _add_translate(group)
    _add_exercises(group)


# --- instructions -----------------------------------------------------------------------------------------------------


def _add_instructions(group: Commands) -> None:
    parser = add_command(
        group,
        "instructions",
        _instructions,
        "Write training conversations from exam questions and dialogue files, for `jmed pack --mode fit`",
        example="jmed data instructions --source medqa=train.jsonl --source igakuqa=igakuqa/ --language both "
        "--target answer --exclude-test test/ --out out/instructions.jsonl",
    )
    text = (
        "a question set (medqa, medqa_4, medmcqa, mmlu, jmmlu, igakuqa, igakuqa119, denqa, jjsimqa, or questions: our "
        "own layout) or a dialogue layout (alpaca, sharegpt, messages), and a file or directory of it; may be repeated"
    )
    parser.add_argument("--source", type=key_value, action="append", required=True, metavar="NAME=PATH", help=text)
    text = "licence of a source, where its records do not state it"
    parser.add_argument("--license", type=key_value, action="append", default=[], metavar="NAME=LICENCE", help=text)
    text = "of the questions (default: both); a question and its translation stand next to each other"
    parser.add_argument("--language", choices=("ja", "en", "both"), default="both", help=text)
    text = "answer (default): the answer alone; cot: the source's explanation first, where it has one"
    parser.add_argument("--target", choices=("answer", "cot"), default="answer", help=text)
    text = "gestalt_cot (default): step by step, then the text of the choice; letters: the letter"
    parser.add_argument("--style", choices=("gestalt_cot", "letters"), default="gestalt_cot", help=text)
    parser.add_argument("--shots", type=positive, default=0, metavar="K", help="solved examples in every prompt")
    text = "where the examples are, e.g. igakuqa=fewshot.jsonl"
    parser.add_argument("--examples", type=key_value, metavar="SET=FILE", help=text)
    parser.add_argument("--limit", type=positive, metavar="N", help="draw at most so many questions of a source")
    add_seed(parser)
    text = "leave out longer questions, e.g. ja=1024 en=2048 as in arXiv 2409.11783"
    parser.add_argument("--longest", type=_longest, nargs="+", default=[], metavar="LANGUAGE=CHARACTERS", help=text)
    text = "evaluation sets: leave out questions that stand there, or nearly, and their translations"
    parser.add_argument("--exclude-test", type=Path, nargs="+", default=[], metavar="PATH", help=text)
    add_prompts(parser)
    add_output(parser, metavar="FILE.jsonl")


def _longest(text: str) -> tuple[str, int]:
    language, _, characters = text.partition("=")
    if language in ("ja", "en") and characters.isdecimal() and int(characters) > 0:
        return language, int(characters)
    raise ArgumentTypeError(f"{text!r} is not ja=CHARACTERS or en=CHARACTERS")


def _instructions(args: Namespace) -> dict[str, Any]:
    from jmed_jax.evaluate.exams.question import LANGUAGES
    from jmed_jax.instruct.instructions import InstructionConfig, write_instructions

    config = InstructionConfig(
        languages=LANGUAGES if args.language == "both" else (args.language,),
        target=args.target,
        style=args.style,
        shots=args.shots,
        limit=args.limit,
        seed=args.seed,
        longest=dict(args.longest),
    )
    counts = write_instructions(
        _sources(args),
        args.out,
        config,
        prompts=args.prompts,
        examples=_source(args.examples) if args.examples else None,
        exclude_test=args.exclude_test,
        overwrite=args.overwrite,
    )
    by_source = ", ".join(f"{name} {count:,}" for name, count in counts["sources"].items())
    print(f"{args.out}: {counts['conversations']:,} conversations ({by_source})")
    if counts["left_out"]:
        print("left out: " + ", ".join(f"{reason} {count:,}" for reason, count in counts["left_out"].items()))
    return {"out": str(args.out), **counts}


def _sources(args: Namespace) -> "list[Source]":
    licenses = dict(args.license)
    unknown = licenses.keys() - {name for name, _ in args.source}
    if unknown:
        raise InputError(f"--license {min(unknown)}=…: there is no --source of that name.")
    return [_source(pair, licenses.get(pair[0], "")) for pair in args.source]


def _source(pair: tuple[str, str], license_name: str = "") -> "Source":
    from jmed_jax.instruct.instructions import Source

    return Source(pair[0], Path(pair[1]), license_name)


# --- translate --------------------------------------------------------------------------------------------------------


def _add_translate(group: Commands) -> None:
    parser = add_command(
        group,
        "translate",
        _translate,
        "Translate exam questions with a model, and check that choices, numbers and units survive",
        example="jmed data translate train.jsonl --set medqa --to ja --endpoint http://localhost:8000 "
        "--endpoint-model qwen --out out/medqa_ja.jsonl\n"
        "jmed data translate train.jsonl --set medqa --to ja --estimate --price 0.5 1.5 --out out/medqa_ja.jsonl",
    )
    parser.add_argument("input", type=Path, metavar="IN.jsonl", help="questions")
    text = "how they are laid out: medqa, medqa_4, medmcqa, mmlu, … (default: questions, our own layout)"
    parser.add_argument("--set", default="questions", metavar="NAME", help=text)
    parser.add_argument("--to", choices=("ja", "en"), required=True, help="language of the translation")
    text = "of an answer (default: 2048)"
    parser.add_argument("--max-new-tokens", type=positive, default=2048, metavar="N", help=text)
    parser.add_argument("--limit", type=positive, metavar="N", help="only the first N questions")
    text = "say what it would take, and stop"
    parser.add_argument("--estimate", action="store_true", help=text)
    text = "of a million tokens read and written, in any currency, for the estimate"
    parser.add_argument("--price", type=float, nargs=2, metavar=("READ", "WRITTEN"), help=text)
    text = "finish without the questions that the model gave no answer for: they are rejected"
    parser.add_argument("--leave-unanswered", action="store_true", help=text)
    text = "wording of the request, instead of the package's own"
    parser.add_argument("--prompts", type=Path, metavar="FILE", help=text)
    add_backend(parser)
    add_output(parser, metavar="FILE.jsonl")


def _translate(args: Namespace) -> dict[str, Any]:
    from jmed_jax.artifact import check_free
    from jmed_jax.instruct.estimate import estimate
    from jmed_jax.instruct.translate import read_untranslated, translate
    from jmed_jax.instruct.translation_prompts import load_translation_prompts

    check_free(args.out, args.overwrite)
    prompts = load_translation_prompts(args.prompts)
    questions = read_untranslated(args.set, args.input, args.to)[: args.limit]
    expected = estimate(questions, prompts, args.to)
    if args.estimate:
        print(expected.in_words(args.price))
        return expected.to_json(args.price)
    backend = open_backend(args)
    say(expected.in_words(args.price))
    counts = translate(
        questions,
        backend,
        args.out,
        to=args.to,
        prompts=prompts,
        max_new_tokens=args.max_new_tokens,
        source_file=args.input,
        leave_unanswered=args.leave_unanswered,
        overwrite=args.overwrite,
    )
    print(f"{args.out}: {counts['translated']:,} questions translated, {counts['rejected']:,} rejected")
    for reason, count in counts["reasons"].items():
        print(f"  {count:,} × {reason}")
    if backend.counts:
        print(f"{backend.name}: {in_words(backend.counts)}")
    return {"out": str(args.out), **counts}


# --- exercises --------------------------------------------------------------------------------------------------------


def _add_exercises(group: Commands) -> None:
    parser = add_command(
        group,
        "copies",
        _copies,
        "Write exercises in copying, after which a small model can learn to extract",
        example="jmed data copies --tokenizer out/tokenizer --count 10000 --out out/copies.jsonl",
    )
    text = "a tokenizer's directory, of whose pieces the texts are made"
    parser.add_argument("--tokenizer", type=Path, required=True, metavar="DIR", help=text)
    parser.add_argument("--count", type=positive, required=True, metavar="N", help="exercises")
    add_seed(parser)
    add_output(parser, metavar="FILE.jsonl")

    parser = add_command(
        group,
        "terms",
        _terms,
        "Write exercises in extraction: passages of a corpus, and which terms of a dictionary stand in them",
        example="jmed data terms --corpus out/corpus --dictionary out/dictionary --out out/terms.jsonl",
    )
    parser.add_argument("--corpus", type=Path, required=True, metavar="DIR", help="made by `jmed corpus build`")
    parser.add_argument("--dictionary", type=Path, required=True, metavar="DIR", help="made by `jmed dictionary build`")
    text = "exercises at most: half of them for diseases, the others for drugs and doses (default: 15000)"
    parser.add_argument("--count", type=positive, default=15_000, metavar="N", help=text)
    text = "share of the passages that are as long as a case report (default: 0.2)"
    parser.add_argument("--long-share", type=float, default=0.2, metavar="X", help=text)
    add_seed(parser)
    add_output(parser, metavar="FILE.jsonl")


def _copies(args: Namespace) -> dict[str, Any]:
    from jmed_jax.instruct.copying import write_copy_exercises

    count = write_copy_exercises(args.tokenizer, args.out, count=args.count, seed=args.seed, overwrite=args.overwrite)
    print(f"{args.out}: {count:,} exercises in copying")
    return {"out": str(args.out), "conversations": count}


def _terms(args: Namespace) -> dict[str, Any]:
    from jmed_jax.instruct.term_exercises import write_term_exercises

    counts = write_term_exercises(
        args.corpus,
        args.dictionary,
        args.out,
        count=args.count,
        long_share=args.long_share,
        seed=args.seed,
        overwrite=args.overwrite,
    )
    by_kind = ", ".join(f"{kind} {count:,}" for kind, count in counts.items())
    print(f"{args.out}: {sum(counts.values()):,} exercises in extraction ({by_kind})")
    return {"out": str(args.out), "conversations": sum(counts.values()), "kinds": counts}
