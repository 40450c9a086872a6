"""`jmed plan`."""

import argparse
import math
from argparse import Namespace
from typing import Any

from jmed_jax.cli.arguments import Commands, Parser, add_command, positive
from jmed_jax.cli.overrides import load_experiment
from jmed_jax.cli.streams import print_table
from jmed_jax.cli.train import add_config
from jmed_jax.config import ExperimentConfig
from jmed_jax.errors import InputError

GIB = 2**30
# With it and the start of Python, a plan is there within two minutes.
TIME_LIMIT = 100.0


def add_plan(commands: Commands) -> None:
    """Add `jmed plan`."""
    parser = add_command(
        commands,
        "plan",
        _plan,
        "Memory a device, time and cost of a training run, without its hardware",
        example="jmed plan configs/ncvc_slm_1b.py --topology rtx6000adax4 --mfu 0.22\n"
        "jmed plan configs/ncvc_slm_1b.py --topology v5e:16x16 --price-per-hour 1.2 --search\n"
        "jmed plan configs/ncvc_slm_1b.py --devices 4 --device-memory-gib 48\n"
        "jmed plan configs/jmedllm_7b_mpeft.py --inference --batch 8 --length 4096",
        takes_overrides=True,
    )
    add_config(parser)
    text = "compile the step for it: v5e:16x16, v6e:4x4, v5p:2x2x4, h100x8, h200x8, a100x8, rtx6000adax4, cpu:8"
    parser.add_argument("--topology", metavar="NAME", help=text)
    text = "share of the peak at which the arithmetic is assumed to run (default: 0.4)"
    parser.add_argument("--mfu", type=_share, metavar="X", help=text)
    parser.add_argument("--price-per-hour", type=_amount, metavar="X", help="of one device, for the cost of the run")
    text = "try modes, batch sizes and remat policies, and rank what fits"
    parser.add_argument("--search", action="store_true", help=text)
    text = f"for compiling; what is not done by then is estimated (default: {TIME_LIMIT:.0f})"
    parser.add_argument("--time-limit", type=_amount, default=TIME_LIMIT, metavar="SECONDS", help=text)
    _add_without_topology(parser)
    _add_inference(parser)


def _add_inference(parser: Parser) -> None:
    text = "of the model alone: memory to answer with it, and how fast, on one of each device"
    parser.add_argument("--inference", action="store_true", help=text)
    parser.add_argument("--batch", type=positive, metavar="N", help="sequences answered together (default: 1)")
    text = "tokens of each, prompt and answer (default: the configuration's context)"
    parser.add_argument("--length", type=positive, metavar="N", help=text)


def _add_without_topology(parser: Parser) -> None:
    text = "estimate only, for so many devices; without it, what the mesh asks for"
    parser.add_argument("--devices", type=positive, metavar="N", help=text)
    text = "of one device, instead of the data sheet's; without a topology, whether it fits stays open"
    parser.add_argument("--device-memory-gib", type=_amount, metavar="X", help=text)


def _amount(text: str) -> float:
    """A number above 0, for argparse's `type`."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if 0 < number < math.inf:
        return number
    raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")


def _share(text: str) -> float:
    """A number above 0, at most 1, for argparse's `type`."""
    if (number := _amount(text)) <= 1:
        return number
    raise argparse.ArgumentTypeError(f"{text!r} is more than 1, the whole peak")


def _plan(args: Namespace) -> dict[str, Any]:
    config = load_experiment(args.config, args.overrides)
    if args.inference:
        return _plan_inference(args, config)
    if args.batch or args.length:
        raise InputError("--batch and --length are of --inference; those of training: --data.batch-size N.")
    if args.topology:
        return _plan_topology(args, config)
    needless = [name for name in ("mfu", "price_per_hour", "search") if getattr(args, name)]
    if needless:
        raise InputError(f"--{needless[0].replace('_', '-')} needs --topology NAME: it depends on the hardware.")

    from jmed_jax.plan.estimate import estimate

    plan = estimate(config, devices=args.devices, device_memory_bytes=_memory_bytes(args))
    # The same keys with and without a topology.
    plan |= {"step_seconds": None, "mfu_assumed": None}
    _print_plan(plan)
    return plan


def _memory_bytes(args: Namespace) -> int | None:
    return None if args.device_memory_gib is None else int(args.device_memory_gib * GIB)


def _plan_topology(args: Namespace, config: ExperimentConfig) -> dict[str, Any]:
    from jmed_jax.plan.placement import place
    from jmed_jax.plan.roofline import MFU_ASSUMED
    from jmed_jax.plan.search import search
    from jmed_jax.plan.topology import parse_topology
    from jmed_jax.plan.training_plan import compiled_plan

    if args.devices:
        raise InputError("--devices is for an estimate without --topology, which says how many there are.")
    topology = parse_topology(args.topology)
    options = {
        "memory_bytes": _memory_bytes(args),
        "mfu": args.mfu or MFU_ASSUMED,
        "price_per_hour": args.price_per_hour,
        "seconds": args.time_limit,
    }
    if args.search:
        plans = search(config, topology, **options)
        best = plans[0] | {"search": [_summary(plan) for plan in plans]}
        _print_plan(best)
        _print_search(plans)
        return best
    given = {override.split(".")[0] for override in args.overrides}
    placed, flags = place(config, topology.devices, keep_mesh="--mesh" in given, keep_batch="--data" in given)
    plan = compiled_plan(placed, topology, **options) | {"flags": flags}
    _print_plan(plan)
    return plan


def _plan_inference(args: Namespace, config: ExperimentConfig) -> dict[str, Any]:
    from jmed_jax.plan.inference import plan_inference
    from jmed_jax.plan.roofline import MFU_ASSUMED

    needless = ("topology", "price_per_hour", "search", "devices", "device_memory_gib")
    for name in needless:
        if getattr(args, name):
            raise InputError(f"--{name.replace('_', '-')} is for training; --inference looks at one of each device.")
    length = args.length or config.model.context_length
    plan = plan_inference(config.model, batch=args.batch or 1, length=length, mfu=args.mfu or MFU_ASSUMED)
    plan = {"name": config.name} | plan
    _print_inference(plan)
    return plan


# --- printing ---------------------------------------------------------------------------------------------------------


def _print_plan(plan: dict[str, Any]) -> None:
    mesh = plan["mesh"]
    trained = "" if plan["trained_parameters"] == plan["parameters"] else f", {plan['trained_parameters']:,} trained"
    print(f"{plan['name']}: {plan['parameters']:,} parameters{trained}")
    print(
        f"{plan.get('topology', '')} {plan['devices']} device(s), mode {mesh['mode']}, "
        f"data {mesh['data']} × fsdp {mesh['fsdp']} × tensor {mesh['tensor']}".strip()
    )
    if plan.get("flags"):
        print(f"with {plan['flags']}")
    print(
        f"{plan['tokens_per_step']:,} tokens and {plan['flops_per_step']:.3g} FLOPs a step, "
        f"{plan['training_tokens']:,} tokens in all"
    )
    how = "as compiled" if plan["source"] == "compiled" else "estimated from the configuration alone"
    print(f"memory a device, {how}:")
    for name, size in plan["bytes_per_device"].items():
        if name == "frozen" and not size:
            continue
        print(f"  {name:<11}{size / GIB:9.2f} GiB")
    if plan["fits"] is not None:
        print("fits" if plan["fits"] else f"does not fit: {plan['advice']}")
    if plan["step_seconds"]:
        _print_time(plan)
    if plan.get("note"):
        print(f"note: {plan['note']}")


def _print_time(plan: dict[str, Any]) -> None:
    parts = ", ".join(f"{name} {seconds:.3g}" for name, seconds in plan["seconds"].items())
    print(
        f"collectives: {plan['collective_bytes_per_step']['total'] / 1e9:.3g} GB sent a device and step\n"
        f"step: {plan['step_seconds']:.3g} s at least, bound by {plan['bound_by']} ({parts}; "
        f"arithmetic assumed at {plan['mfu_assumed']:.0%} of the peak)\n"
        f"{plan['tokens_per_s']:,.0f} tokens/s, {plan['tokens_per_s_per_device']:,.0f} a device"
    )
    cost = "" if plan["cost"] is None else f", cost {plan['cost']:,.2f}"
    print(f"the whole run: {plan['days']:.3g} days{cost}")
    print(f"hardware: {plan['hardware']['source']}")


def _print_inference(plan: dict[str, Any]) -> None:
    print(f"{plan['name']}: {plan['parameters']:,} parameters")
    for base, size in plan["weights_bytes"].items():
        print(f"  weights in {base:<9}{size / GIB:9.2f} GiB")
    sequences = f"{plan['batch']} × {plan['length']:,} tokens"
    print(f"  keys and values    {plan['kv_cache_bytes'] / GIB:9.2f} GiB of {sequences}")
    rows = []
    for found in plan["devices"]:
        fits = "yes" if found["fits"] else f"on {found['devices_needed']}"
        total, rate = f"{found['total_bytes'] / GIB:.1f}", f"{found['decode_tokens_per_s']:.0f}"
        rows.append([found["device"], found["format"], total, fits, rate, f"{found['prefill_seconds']:.2g}"])
    print_table(["device", "weights", "GiB", "fits", "tokens/s at most", "s to read the prompts"], rows)
    print(f"tokens/s: one sequence, bound by memory bandwidth; prompts: {plan['mfu_assumed']:.0%} of the peak")


def _summary(plan: dict[str, Any]) -> dict[str, Any]:
    names = ("flags", "source", "bytes_per_device", "fits", "step_seconds", "bound_by", "tokens_per_s", "days", "cost")
    return {name: plan[name] for name in names}


def _print_search(plans: list[dict[str, Any]]) -> None:
    rows = []
    for plan in plans:
        total = plan["bytes_per_device"]["total"] / GIB
        rows.append([plan["flags"], f"{plan['step_seconds']:.3g}", f"{total:.1f}", plan["source"]])
    print_table(["fields", "s a step", "GiB a device", "source"], rows)
