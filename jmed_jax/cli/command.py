"""The entry point: parse, run the handler, print its result, turn exceptions into lines and exit codes."""

import errno
import io
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence

from jmed_jax import __version__
from jmed_jax.cli import analyze, corpus, data, dictionary, evaluate, generate, model, plan, tokenizer, train
from jmed_jax.cli.arguments import Parser
from jmed_jax.cli.overrides import split_overrides
from jmed_jax.errors import InputError
from jmed_jax.progress import say

# What the user's system refuses is no failure of ours. A missing file is not among them: our readers check for that.
_SYSTEM_REFUSALS = (
    errno.EACCES,
    errno.EPERM,
    errno.EEXIST,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.EROFS,
    errno.ENAMETOOLONG,
    errno.EFBIG,
)

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command of `jmed` and return its exit code."""
    return run(build_parser, argv)


def run(build: Callable[[], Parser], argv: Sequence[str] | None = None) -> int:
    """Run what a parser describes and return the exit code: of `jmed`, and of the scripts in tools/.

    A handler that has found something out, rather than done it, says so by `args.exit_code = 1`.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    _use_utf8()
    # Ending a command from outside leaves as much behind as Ctrl-C: training has a handler of its own.
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = _run(build(), arguments)
        sys.stdout.flush()
        return code
    except SystemExit as error:  # argparse after --help and --version
        return int(error.code or 0)
    except BrokenPipeError:
        # Whoever read our output has enough, as in `jmed corpus clean | head`. Nothing is left to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except BaseException as error:
        if "--debug" in arguments:
            traceback.print_exc()
        return _report(error, "--debug" in arguments)
    finally:
        signal.signal(signal.SIGTERM, previous or signal.SIG_DFL)


def build_parser() -> Parser:
    """The parser of the whole command line."""
    parser = Parser(
        prog="jmed",
        description="Japanese medical language models with JAX, from raw text to served weights.",
        epilog="Example:\n  jmed quickstart --out out/quickstart",
    )
    parser.add_argument("--version", action="version", version=f"jmed_jax {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    train.add_quickstart(commands)
    data.add_commands(commands)
    corpus.add_commands(commands)
    dictionary.add_dictionary(commands)
    tokenizer.add_commands(commands)
    train.add_commands(commands)
    plan.add_plan(commands)
    evaluate.add_commands(commands)
    generate.add_commands(commands)
    model.add_commands(commands)
    analyze.add_analyze(commands)
    return parser


def _run(parser: Parser, arguments: Sequence[str]) -> int:
    own, overrides = split_overrides(arguments)
    args = parser.parse_args(own)
    if overrides and not args.takes_overrides:
        raise InputError(f"{overrides[0]}: only `jmed train` and `jmed plan` take fields of a configuration.")
    args.overrides, args.exit_code = overrides, 0
    _quiet_libraries()
    result = args.handler(args)
    if args.json:
        print(json.dumps(result, ensure_ascii=False))
    return args.exit_code


def _report(error: BaseException, traceback_shown: bool) -> int:
    if isinstance(error, InputError):
        return _fail(str(error))
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        # A copy that fails names what is copied first, which is not where room is wanted.
        place = f"{error.filename2}: " if error.filename2 else ""
        return _fail(f"{place}{error.strerror}. Nothing incomplete has its final name: make room and try again.")
    if isinstance(error, OSError) and error.errno in _SYSTEM_REFUSALS:
        place = f"{error.filename}: " if error.filename else ""
        return _fail(f"{place}{error.strerror}.")
    if isinstance(error, KeyboardInterrupt):
        say("interrupted. The same command goes on where there was something to keep, and starts again elsewhere.")
        return 130
    if _is_interruption(error):
        say(f"interrupted: {error}")
        return 130
    if not traceback_shown:
        traceback.print_exception(error)
    say("This is a failure of jmed itself. Please report it with the lines above and the command.")
    return 1


def _fail(message: str) -> int:
    say("error: " + message.replace("\n", " "))
    return 2


def _is_interruption(error: BaseException) -> bool:
    # The class lives beside JAX; where it was raised, its module is loaded.
    loop = sys.modules.get("jmed_jax.train.loop")
    return loop is not None and isinstance(error, loop.Interrupted)


def _use_utf8() -> None:
    """Whatever the locale: our text is Japanese."""
    for stream, errors in ((sys.stdin, "strict"), (sys.stdout, "strict"), (sys.stderr, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors=errors)


def _quiet_libraries() -> None:
    """Orbax warns through absl about choices that are ours; transformers advises to install PyTorch."""
    from absl import logging

    logging.set_verbosity(logging.ERROR)
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
