"""Compile a training step for hardware that is not there: `python -m jmed_jax.plan.compile_step < request > reply`.

A process of its own, because a compiler can take long, run out of memory or crash, and because the devices of a JAX
process are fixed once. `plan/compiled.py` starts it with the environment it needs. The reply is one line of JSON on
standard output with a `status`: "compiled", "out_of_memory" (of the hardware asked for) or "refused".
"""

import json
import math
import re
import sys
import time
from collections.abc import Sequence
from typing import Any

import jax

from jmed_jax.config import ExperimentConfig, from_dict
from jmed_jax.errors import InputError
from jmed_jax.parallel.mesh import make_mesh
from jmed_jax.plan.collectives import count_collectives
from jmed_jax.plan.hardware import gpu_target_config
from jmed_jax.plan.topology import Topology, parse_topology
from jmed_jax.train.step import Trainer

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def main() -> None:
    """Read the request, write the reply."""
    request = json.load(sys.stdin)
    config = from_dict(request["config"])
    try:
        reply = compile_step(config, parse_topology(request["topology"]))
    except InputError as error:
        reply = {"status": "refused", "message": str(error)}
    print(json.dumps(reply))


def compile_step(config: ExperimentConfig, topology: Topology) -> dict[str, Any]:
    """What the compiler says of the step of `Trainer` on a topology.

    Returns:
        `state`: bytes a device of frozen and trained parameters, gradients and optimiser, from their shapes and
        shardings; `memory`: the figures of `memory_analysis`, a device; `collectives`; or, where the compiler finds
        that it does not fit, `used_bytes` of `limit_bytes`, None where it does not say.

    Raises:
        InputError: the trainer refuses the configuration.
    """
    trainer = Trainer(config, make_mesh(config.mesh, topology_devices(topology)))
    state, shardings = trainer.abstract_state, trainer.state_shardings
    parts = {
        "frozen": sharded_bytes(trainer.abstract_frozen, trainer.frozen_shardings),
        "parameters": sharded_bytes(state.parameters, shardings.parameters),
        "gradients": sharded_bytes(state.parameters, trainer.gradient_shardings),
        "optimizer": sharded_bytes(state.optimizer, shardings.optimizer),
    }
    start = time.perf_counter()
    step: Any = trainer.step
    lowered = step.lower(state, trainer.abstract_frozen, trainer.abstract_batch)
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        arguments = parts["frozen"] + parts["parameters"] + parts["optimizer"]
        return {"status": "out_of_memory", "state": parts, **out_of_memory_figures(str(error), arguments)}
    collectives = count_collectives(compiled.as_text(), topology.devices)
    return {
        "status": "compiled",
        "state": parts,
        "memory": _memory(compiled.memory_analysis()),
        "collectives": collectives.bytes_by_kind,
        "unknown_loops": collectives.unknown_loops,
        "seconds": time.perf_counter() - start,
    }


def topology_devices(topology: Topology) -> Sequence[jax.Device]:
    """Devices that can be compiled for, not run on; on a CPU, this process's own."""
    from jax.experimental import topologies

    match topology.hardware.platform:
        case "cpu":
            return jax.devices("cpu")[: topology.devices]
        case "gpu":
            return topologies.get_topology_desc(
                "",
                platform="cuda",
                target_config=gpu_target_config(topology.hardware),
                topology=f"1x1x{topology.devices}",
            ).devices
        case "tpu":
            return topologies.get_topology_desc(topology.name, platform="tpu").devices


def sharded_bytes(tree: Any, shardings: Any) -> int:
    """Bytes of one device's shards of abstract arrays."""
    sizes = jax.tree.map(lambda a, s: a.dtype.itemsize * math.prod(s.shard_shape(a.shape)), tree, shardings)
    return sum(jax.tree.leaves(sizes))


def _memory(analysis: Any) -> dict[str, int]:
    sizes = {
        "arguments": analysis.argument_size_in_bytes,
        "outputs": analysis.output_size_in_bytes,
        "aliased": analysis.alias_size_in_bytes,
        "temporaries": analysis.temp_size_in_bytes,
        "code": analysis.generated_code_size_in_bytes,
    }
    # Donated arguments and the outputs in their place are the same bytes.
    total = sum(sizes.values()) - 2 * sizes["aliased"]
    return {**sizes, "peak": analysis.peak_memory_in_bytes, "total": total}


# Two passes of the TPU compiler find it out, each with its own words.
_USED_IN_ALL = re.compile(r"Used ([\d.]+)([KMGT]?) of ([\d.]+)([KMGT]?)")
_USED_BESIDE_ARGUMENTS = re.compile(r"temporaries \(([\d.]+)([KMGT]?)\) exceeds available HBM \(([\d.]+)([KMGT]?)\)")


def out_of_memory_figures(message: str, arguments: int) -> dict[str, int | None]:
    """Bytes from the compiler's own words: `Used 21.30G of 15.75G hbm`.

    Args:
        arguments: bytes of the state, which some of its messages leave out.
    """
    if found := _USED_IN_ALL.search(message):
        beside = 0
    elif found := _USED_BESIDE_ARGUMENTS.search(message):
        beside = arguments
    else:
        return {"used_bytes": None, "limit_bytes": None}
    used, limit = (int(float(number) * _UNITS[unit]) for number, unit in ((found[1], found[2]), (found[3], found[4])))
    return {"used_bytes": used + beside, "limit_bytes": limit}


if __name__ == "__main__":
    main()
