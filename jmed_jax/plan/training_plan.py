"""The plan of a training run on some hardware: what it needs, whether it fits, how long it takes and what it costs."""

from typing import Any

from jmed_jax.config import ExperimentConfig
from jmed_jax.hardware import Hardware
from jmed_jax.plan.advice import advise
from jmed_jax.plan.compiled import Unavailable, compile_elsewhere
from jmed_jax.plan.estimate import estimate
from jmed_jax.plan.memory import USABLE_SHARE, MeshShape, gradient_copies, logit_bytes, mesh_shape
from jmed_jax.plan.roofline import MFU_ASSUMED, collective_bytes, roofline
from jmed_jax.plan.topology import Topology

DAY = 24 * 3600


def estimated_plan(
    config: ExperimentConfig,
    topology: Topology,
    *,
    memory_bytes: int | None = None,
    mfu: float = MFU_ASSUMED,
    price_per_hour: float | None = None,
) -> dict[str, Any]:
    """`estimate`, with bytes of collectives, a roofline step time, days and cost on this hardware.

    Args:
        memory_bytes: of one device, instead of the data sheet's.
        price_per_hour: of one device, in any currency.

    Raises:
        InputError: the mesh does not cover the topology, or the batch does not divide over it.
    """
    memory_bytes = memory_bytes or topology.hardware.memory_bytes
    plan = estimate(config, devices=topology.devices, device_memory_bytes=memory_bytes)
    shape = mesh_shape(config.mesh, topology.devices)
    sent = collective_bytes(config, shape)
    return plan | {
        "topology": topology.name,
        "collective_bytes_per_step": {"total": sent},
        **_time_and_cost(config, shape, topology.hardware, sent, mfu, price_per_hour),
        "note": "",
    }


def compiled_plan(
    config: ExperimentConfig,
    topology: Topology,
    *,
    seconds: float,
    memory_bytes: int | None = None,
    mfu: float = MFU_ASSUMED,
    price_per_hour: float | None = None,
) -> dict[str, Any]:
    """`estimated_plan` with the compiler's figures in place of the estimates.

    Args:
        seconds: how long the compiler may take.

    Returns:
        `source` is "compiled": `bytes_per_device` has exact bytes of parameters, gradients and optimiser, the formula's
        for logits, as activations the rest of XLA's total, and that total; `xla` has XLA's own figures. Where the
        compiler could not be asked, `source` is "estimated" and `note` says why and what to do.

    Raises:
        InputError: the trainer refuses the configuration on this topology.
    """
    plan = estimated_plan(config, topology, memory_bytes=memory_bytes, mfu=mfu, price_per_hour=price_per_hour)
    reply = compile_elsewhere(config, topology, seconds=seconds)
    if isinstance(reply, Unavailable):
        return plan | {"note": f"estimated, not compiled: {reply.reason}."}
    shape = mesh_shape(config.mesh, topology.devices)
    memory = reply.get("memory")
    total = memory["total"] if memory else reply["used_bytes"]
    # The TPU compiler counts all that the chip must hold, and refuses what does not fit.
    share = 1.0 if topology.hardware.platform == "tpu" else USABLE_SHARE
    if reply["status"] == "out_of_memory":
        fits = False
        # The compiler may refuse without figures; then more than the device has is all that is known.
        total = total or plan["device_memory_bytes"]
    else:
        fits = total <= share * plan["device_memory_bytes"]
    plan |= {
        "source": "compiled",
        "bytes_per_device": _split(config, shape, reply["state"], total),
        "fits": fits,
        "advice": "" if fits else advise(config, shape, plan["device_memory_bytes"], total),
        "xla": memory,
    }
    if reply["status"] == "compiled":
        sent = sum(reply["collectives"].values())
        plan |= {
            "collective_bytes_per_step": {**reply["collectives"], "total": sent},
            **_time_and_cost(config, shape, topology.hardware, sent, mfu, price_per_hour),
            "compile_seconds": round(reply["seconds"], 1),
            "note": _note(reply),
        }
    return plan


def _split(config: ExperimentConfig, shape: MeshShape, state: dict[str, int], total: int) -> dict[str, int]:
    """XLA's total by what it holds.

    Not all of it is there at one time: where XLA keeps less than the parts sum to, it puts one in another's place.
    """
    parts = {**state, "gradients": state["gradients"] * gradient_copies(config), "logits": logit_bytes(config, shape)}
    rest = max(0, total - sum(parts.values()))
    return {
        "frozen": parts["frozen"],
        "parameters": parts["parameters"],
        "gradients": parts["gradients"],
        "optimizer": parts["optimizer"],
        "activations": rest,
        "logits": parts["logits"],
        "total": total,
    }


def _time_and_cost(
    config: ExperimentConfig, shape: MeshShape, hardware: Hardware, sent: int, mfu: float, price: float | None
) -> dict[str, Any]:
    times = roofline(config, shape, hardware, collective_bytes=sent, mfu=mfu)
    days = times.step * config.train.steps / DAY
    tokens_per_s = config.tokens_per_step / times.step
    return {
        "step_seconds": times.step,
        "mfu_assumed": mfu,
        "bound_by": times.bound,
        "seconds": {"compute": times.compute, "memory": times.memory, "links": times.links},
        "tokens_per_s": tokens_per_s,
        "tokens_per_s_per_device": tokens_per_s / shape.devices,
        "days": days,
        "price_per_hour": price,
        "cost": None if price is None else days * 24 * shape.devices * price,
        "hardware": {
            "memory_bytes": hardware.memory_bytes,
            "peak_flops": hardware.peak_flops,
            "memory_bandwidth": hardware.memory_bandwidth,
            "link_bandwidth": hardware.link_bandwidth,
            "source": hardware.source,
        },
    }


def _note(reply: dict[str, Any]) -> str:
    notes = []
    if reply.get("quick"):
        notes.append("compiled at the compiler's lowest effort: --time-limit gives it time for memory as it will be")
    if reply["unknown_loops"]:
        notes.append(f"{reply['unknown_loops']} loop(s) of unknown length with collectives were counted once")
    return "; ".join(notes)
