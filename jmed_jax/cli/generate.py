"""`jmed generate`, `jmed chat`: what a model writes."""

import sys
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from jmed_jax.cli.arguments import Commands, Parser, add_command, add_model, positive
from jmed_jax.cli.streams import stdin_lines, texts_or_stdin
from jmed_jax.errors import InputError
from jmed_jax.progress import say

if TYPE_CHECKING:
    from jmed_jax.generate.sampling import Sampling
    from jmed_jax.language_model import LanguageModel, Message


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    _add_generate(commands)
    _add_chat(commands)


def _add_sampling(parser: Parser) -> None:
    """The fields of `Sampling`; their limits are checked there."""
    text = "longest answer (default: 128)"
    parser.add_argument("--max-new-tokens", type=positive, default=128, metavar="N", help=text)
    text = "0 is greedy; higher is more random (default: 0)"
    parser.add_argument("--temperature", type=float, default=0.0, metavar="T", help=text)
    text = "draw from the K most probable tokens; 0: from all (default: 0)"
    parser.add_argument("--top-k", type=int, default=0, metavar="K", help=text)
    text = "draw from the tokens that together have this probability (default: 1)"
    parser.add_argument("--top-p", type=float, default=1.0, metavar="P", help=text)
    text = "above 1, tokens that were there become less probable (default: 1)"
    parser.add_argument("--repetition-penalty", type=float, default=1.0, metavar="R", help=text)
    text = "of what is drawn: the same seed and prompt give the same answer (default: 0)"
    parser.add_argument("--seed", type=int, default=0, metavar="N", help=text)
    text = "end an answer before this text; may be given several times"
    parser.add_argument("--stop", action="append", default=[], metavar="TEXT", help=text)


def _sampling(args: Namespace) -> "Sampling":
    from jmed_jax.generate.sampling import Sampling

    names = ("temperature", "top_k", "top_p", "beams", "length_penalty", "repetition_penalty", "seed")
    return Sampling(**{name: getattr(args, name) for name in names if hasattr(args, name)}, stop=tuple(args.stop))


def _add_generate(commands: Commands) -> None:
    parser = add_command(
        commands,
        "generate",
        _generate,
        "Continue texts",
        example="jmed generate --model out/pretrain 糖尿病の治療は\n"
        "jmed generate --model out/instruct --chat --max-new-tokens 64 < questions.txt\n"
        "jmed generate --model out/pretrain --temperature 0.8 --top-p 0.95 --seed 1 糖尿病の治療は",
    )
    add_model(parser)
    parser.add_argument("prompts", nargs="*", metavar="PROMPT", help="without any, lines of standard input")
    _add_sampling(parser)
    parser.add_argument("--beams", type=int, default=1, metavar="N", help="above 1: beam search (default: 1)")
    text = "of beam search: above 0 favours longer answers (default: 1)"
    parser.add_argument("--length-penalty", type=float, default=1.0, metavar="L", help=text)
    text = "give each prompt as a user's message to an instruction-tuned model"
    parser.add_argument("--chat", action="store_true", help=text)


def _generate(args: Namespace) -> dict[str, Any]:
    prompts = list(texts_or_stdin(args.prompts))
    if not prompts:
        raise InputError("no prompt: give one on the command line, or lines on standard input.")
    sampling = _sampling(args)

    from jmed_jax.language_model import load

    model = load(args.model)
    if args.chat:
        conversations = [[{"role": "user", "content": prompt}] for prompt in prompts]
        answers = model.chat(conversations, max_new_tokens=args.max_new_tokens, sampling=sampling)
    else:
        answers = model.generate(prompts, max_new_tokens=args.max_new_tokens, sampling=sampling)
    for answer in answers:
        # An answer a line, so that lines of standard input find theirs.
        print(answer if len(answers) == 1 else answer.replace("\n", "\\n"))
    return {"prompts": prompts, "answers": answers}


# --- chat -------------------------------------------------------------------------------------------------------------


def _add_chat(commands: Commands) -> None:
    parser = add_command(
        commands,
        "chat",
        _chat,
        "Talk with an instruction-tuned model; Ctrl-C stops an answer, Ctrl-D (or Ctrl-C again) ends it all",
        example='jmed chat --model out/instruct --system "医学の質問に答えてください。"',
    )
    add_model(parser)
    parser.add_argument("--system", metavar="TEXT", help="message that stands before the conversation")
    _add_sampling(parser)


def _chat(args: Namespace) -> dict[str, Any]:
    sampling = _sampling(args)

    from jmed_jax.language_model import load

    model = load(args.model)
    messages: list[Message] = [{"role": "system", "content": args.system}] if args.system else []
    _prompt()
    try:
        for line in stdin_lines():
            if line.strip():
                messages.append({"role": "user", "content": line})
                _answer(model, messages, args.max_new_tokens, sampling)
            _prompt()
    except KeyboardInterrupt:
        say("")
    return {"messages": messages}


def _prompt() -> None:
    if sys.stdin.isatty():
        print("> ", end="", file=sys.stderr, flush=True)


def _answer(model: "LanguageModel", messages: "list[Message]", max_new_tokens: int, sampling: "Sampling") -> None:
    """Print the answer as it is written, and add it to the conversation; a message too long for any is taken back."""
    kept, room = _fitting(model, messages, max_new_tokens)
    if room < 1:
        messages.pop()
        say(f"that message is longer than the model's context of {model.config.context_length:,} tokens: not read.")
        return
    if dropped := (len(messages) - len(kept)) // 2:
        say(f"the conversation outgrew the model's context: its oldest {dropped} turn(s) are dropped.")
    messages[:] = kept
    if room < max_new_tokens:
        say(f"that message leaves {room} tokens for an answer.")
    written = ""
    try:
        for piece in model.stream_chat(messages, max_new_tokens=min(room, max_new_tokens), sampling=sampling):
            print(piece, end="", flush=True)
            written += piece
    except KeyboardInterrupt:
        say("\n(stopped)")
    print(flush=True)
    messages.append({"role": "assistant", "content": written})


def _fitting(model: "LanguageModel", messages: "list[Message]", max_new_tokens: int) -> tuple["list[Message]", int]:
    """The conversation without its oldest turns, so that an answer fits into the context, and the room for it."""
    kept = list(messages)
    first = 1 if kept[0]["role"] == "system" else 0
    while True:
        room = model.config.context_length - len(model.chat_prompt(kept))
        if room >= max_new_tokens or len(kept) - first < 3:
            return kept, room
        del kept[first : first + 2]
