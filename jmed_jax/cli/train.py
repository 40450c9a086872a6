"""`jmed quickstart`, `jmed train`, `jmed plan`."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from jmed_jax.cli.arguments import Commands, Parser, add_command, add_output, positive
from jmed_jax.cli.overrides import echo, load_experiment

GIB = 2**30


def add_quickstart(commands: Commands) -> None:
    """Add `jmed quickstart`, which the help shows first."""
    parser = add_command(
        commands,
        "quickstart",
        _quickstart,
        "Run every stage, small, on your data or on the synthetic sample",
        example="jmed quickstart\njmed quickstart --data out/sample --out out/mine",
    )
    text = "in the layout of `jmed data sample`; the sample itself if none"
    parser.add_argument("--data", type=Path, metavar="DIR", help=text)
    add_output(parser, default=Path("out/quickstart"))


def add_commands(commands: Commands) -> None:
    """Add the other commands of this module."""
    _add_train(commands)
    _add_plan(commands)


def _quickstart(args: Namespace) -> dict[str, Any]:
    from jmed_jax.quickstart import quickstart

    summary = quickstart(args.data, args.out, args.overwrite)
    print(args.out / "index.html")
    return summary


def _add_config(parser: Parser) -> None:
    parser.add_argument("config", type=Path, metavar="CONFIG", help="a file of configs/, or your own")
    parser.usage = f"{parser.prog} CONFIG [options] [--SECTION.FIELD VALUE …]"
    parser.epilog = (
        f"{parser.epilog}\n\nEvery field of the configuration (jmed_jax/config.py) is an option: --model.…, --data.…, "
        "--optimizer.…,\n--train.…, --mesh.…, --tokenizer.…, --name; true and false are --model.gated-mlp and "
        "--model.no-gated-mlp."
    )


# --- train ------------------------------------------------------------------------------------------------------------


def _add_train(commands: Commands) -> None:
    parser = add_command(
        commands,
        "train",
        _train,
        "Train a model; the same command again goes on where it stopped",
        example="jmed train configs/ncvc_slm_tiny.py --run out/pretrain --data.rows out/rows --optimizer.peak-lr 5e-4",
        takes_overrides=True,
    )
    _add_config(parser)
    parser.add_argument("--run", type=Path, required=True, metavar="DIR", help="the run's directory")
    parser.add_argument("--steps", type=positive, metavar="N", help="short for --train.steps N")


def _train(args: Namespace) -> dict[str, Any]:
    steps = ["--train.steps", str(args.steps)] if args.steps else []
    config = load_experiment(args.config, [*args.overrides, *steps])
    echo(config)

    from jmed_jax.train.loop import train

    result = train(config, args.run)
    loss = "" if result["loss"] is None else f", loss {result['loss']:.4f}"
    print(f"{args.run}: {result['steps']:,} steps, {result['tokens']:,} tokens{loss}")
    return result


# --- plan -------------------------------------------------------------------------------------------------------------


def _add_plan(commands: Commands) -> None:
    parser = add_command(
        commands,
        "plan",
        _plan,
        "Estimate memory a device, FLOPs and tokens of a training run, without its hardware",
        example="jmed plan configs/ncvc_slm_1b.py --devices 4 --device-memory-gib 48",
        takes_overrides=True,
    )
    _add_config(parser)
    text = "how many; without it, what the mesh asks for"
    parser.add_argument("--devices", type=positive, metavar="N", help=text)
    text = "of one device; without it, whether it fits stays open"
    parser.add_argument("--device-memory-gib", type=float, metavar="X", help=text)


def _plan(args: Namespace) -> dict[str, Any]:
    from jmed_jax.plan import estimate

    config = load_experiment(args.config, args.overrides)
    plan = estimate(config, devices=args.devices, device_memory_gib=args.device_memory_gib)
    mesh = plan["mesh"]
    print(f"{plan['name']}: {plan['parameters']:,} parameters")
    print(
        f"{plan['devices']} device(s), mode {mesh['mode']}, "
        f"data {mesh['data']} × fsdp {mesh['fsdp']} × tensor {mesh['tensor']}"
    )
    print(
        f"{plan['tokens_per_step']:,} tokens and {plan['flops_per_step']:.3g} FLOPs a step, "
        f"{plan['training_tokens']:,} tokens in all"
    )
    print("memory a device, estimated from the configuration alone:")
    for name, size in plan["bytes_per_device"].items():
        print(f"  {name:<11}{size / GIB:9.2f} GiB")
    if plan["fits"] is not None:
        print("fits" if plan["fits"] else f"does not fit: {plan['advice']}")
    return plan
