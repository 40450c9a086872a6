"""Bytes that a compiled step moves between devices, read from its optimised HLO.

Counted are the bytes that one device sends, with the ring algorithm over a group of n devices and S bytes: all-reduce
2·S·(n−1)/n, all-gather and reduce-scatter and all-to-all S·(n−1)/n (S is the larger side), collective-permute S (as
arXiv 1910.02054 §7 counts them, for a finite n). An operation in a loop counts as often as the loop runs: XLA writes
`known_trip_count` for CPUs and GPUs; for TPUs it is the one constant that the condition compares the counter with,
which every `lax.scan` counts up from 0. Of the branches of a conditional the dearest counts. A TPU fusion that is named
`all-reduce-scatter` holds an all-reduce of which each device keeps its part: a reduce-scatter.

Limits: a loop whose number of turns XLA does not know counts once and is reported in `unknown_loops`; which bytes pass
between hosts and which within one is not told apart; other algorithms (trees) send other amounts.
"""

import math
import re
from collections import defaultdict
from dataclasses import dataclass, field

# `async-start` wraps computations; the `-done` and `-update` halves of a pair name the same bytes again.
KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "ragged-all-to-all", "collective-permute")
_ITEM_BYTES = {"pred": 1, "s4": 0.5, "u4": 0.5, "c64": 8, "c128": 16}

_COMPUTATION = re.compile(r"^(?P<entry>ENTRY )?%?(?P<name>[\w.\-]+) \(.*\{\s*$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?[\w.\-]+ = (?P<rest>.*)$")
# The operation is the first word before a parenthesis that follows the shape (which may be a tuple with layouts).
_OPERATION = re.compile(r"(?:^|\s)(?P<name>[a-z][\w\-]*)\(")
_ARRAY = re.compile(r"\b(?P<dtype>pred|bf16|[sufc]\d+(?:e\d+m\d+\w*)?)\[(?P<dims>[\d,]*)\]")
_CALLED = re.compile(r"(?:calls|to_apply|body|condition|branch_computations|true_computation|false_computation)="
                     r"(?P<names>\{[^}]*\}|%?[\w.\-]+)")  # fmt: skip
_TRIPS = re.compile(r'"known_trip_count":\s*\{"n":\s*"?(\d+)')
_LISTED_GROUPS = re.compile(r"replica_groups=\{\{([\d,]*)\}")
_IOTA_GROUPS = re.compile(r"replica_groups=\[\d+,(\d+)\]<=")
# A mesh and the axes (or parts of them, `'axis':(before)size`) along which a group lies.
_MESH_GROUPS = re.compile(r"replica_groups=mesh\[(?P<mesh>[^\]]*)\][^{]*\{(?P<axes>[^}]*)\}")


@dataclass
class _Computation:
    name: str = ""
    sent: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Bytes a device sends here, by kind."""
    calls: list[list[str]] = field(default_factory=list)
    """Computations of which one runs; several are branches."""
    loops: list[tuple[str, str, int | None]] = field(default_factory=list)
    """Body, condition, and number of turns where it is written there."""
    constants: list[int] = field(default_factory=list)
    compares_less: bool = False

    @property
    def limit(self) -> int | None:
        """Of the counter, where this is the condition of a loop that counts up."""
        return self.constants[0] if self.compares_less and len(self.constants) == 1 else None


@dataclass(frozen=True)
class Collectives:
    """Bytes a device sends in one step."""

    bytes_by_kind: dict[str, int]
    unknown_loops: int
    """Loops with collectives whose number of turns XLA does not know: counted once."""

    @property
    def total(self) -> int:
        return sum(self.bytes_by_kind.values())


def count_collectives(hlo: str, devices: int) -> Collectives:
    """What the entry computation of an optimised module sends.

    Args:
        devices: of the program, for operations that name no groups.
    """
    computations, entry = _parse(hlo, devices)
    counted: dict[str, tuple[dict[str, float], int]] = {}

    def total(name: str) -> tuple[dict[str, float], int]:
        if name not in counted:
            computation = computations.get(name, _Computation())
            sent, unknown = defaultdict(float, computation.sent), 0
            runs = [
                (max((total(n) for n in names), key=lambda found: sum(found[0].values())), 1)
                for names in computation.calls
            ]
            for body, condition, trips in computation.loops:
                turns = trips or computations[condition].limit
                runs.append((total(body), turns or 1))
                unknown += turns is None and bool(total(body)[0])
            for (part, loops), times in runs:
                unknown += loops
                for kind, size in part.items():
                    sent[kind] += times * size
            counted[name] = dict(sent), unknown
        return counted[name]

    sent, unknown = total(entry)
    return Collectives({kind: round(size) for kind, size in sorted(sent.items()) if size}, unknown)


def _parse(hlo: str, devices: int) -> tuple[dict[str, _Computation], str]:
    computations: dict[str, _Computation] = {}
    entry, current = "", _Computation()
    for line in hlo.splitlines():
        if header := _COMPUTATION.match(line):
            current = computations.setdefault(header["name"], _Computation(header["name"]))
            entry = header["name"] if header["entry"] else entry
        elif instruction := _INSTRUCTION.match(line):
            _add_instruction(current, instruction["rest"], devices)
    return computations, entry


def _add_instruction(computation: _Computation, rest: str, devices: int) -> None:
    operation = _OPERATION.search(rest)
    if operation is None:
        return
    name = operation["name"]
    kind = name.removesuffix("-start")
    if kind in KINDS:
        sizes = [_bytes(array) for array in _ARRAY.finditer(rest[: operation.start()])]
        sent = _sent(kind, name != kind, sizes, _group_size(rest, devices))
        if kind == "all-reduce" and computation.name.startswith("all-reduce-scatter"):
            kind, sent = "reduce-scatter", sent / 2
        computation.sent[kind] += sent
    elif name == "while":
        trips = _TRIPS.search(rest)
        body, condition = (re.search(rf"{part}=%?([\w.\-]+)", rest) for part in ("body", "condition"))
        assert body and condition, f"a loop without a body: {rest[:200]}"
        computation.loops.append((body[1], condition[1], int(trips[1]) if trips else None))
    elif name == "constant":
        computation.constants += [int(number) for number in re.findall(r"^s32\[\]\S* constant\((\d+)\)", rest)]
    elif name == "compare":
        computation.compares_less = "direction=LT" in rest
    elif not name.endswith(("-done", "-update")):
        called = [match["names"] for match in _CALLED.finditer(rest[operation.end() :])]
        names = [n.strip(" %") for group in called for n in group.strip("{}").split(",")]
        if names:
            computation.calls.append(names)


def _bytes(array: re.Match[str]) -> float:
    count = 1
    for size in filter(None, array["dims"].split(",")):
        count *= int(size)
    bits = re.match(r"[a-z]+(\d+)", array["dtype"])
    return count * _ITEM_BYTES.get(array["dtype"], int(bits[1]) / 8 if bits else 1)


def _sent(kind: str, started: bool, sizes: list[float], group: int) -> float:
    """Bytes one device sends; `sizes` are those of the result, which for most `-start`s is (operands, results, …)."""
    share = (group - 1) / group
    if kind == "all-reduce":
        # Its -start has the shape of the result alone.
        return 2 * share * sum(sizes)
    if kind == "collective-permute":
        return sizes[0] if started else sum(sizes)
    if started:
        # Operands and results: the larger side of the pair is what the group exchanges.
        half = len(sizes) // 2
        return share * max(sum(sizes[:half]), sum(sizes[half:]))
    # The result of a reduce-scatter is one part of what was reduced.
    return share * sum(sizes) * (group if kind == "reduce-scatter" else 1)


def _group_size(rest: str, devices: int) -> int:
    if match := _IOTA_GROUPS.search(rest):
        return int(match[1])
    if match := _MESH_GROUPS.search(rest):
        sizes = {name: int(size) for name, size in re.findall(r"('\w+')=(\d+)", match["mesh"])}
        axes = re.findall(r"('\w+')(?::\(\d+\)(\d+))?", match["axes"])
        return math.prod(int(part) if part else sizes[name] for name, part in axes)
    if match := _LISTED_GROUPS.search(rest):
        return match[1].count(",") + 1
    return devices
