import pytest

from jmed_jax.plan.collectives import count_collectives

# One instruction of 4 × 1,024 bytes, in a group of four of eight devices.
GROUPS = "replica_groups={{0,1,2,3},{4,5,6,7}}"


def module(*entry: str, others: str = "") -> str:
    lines = "\n".join(f"  {line}" for line in entry)
    return f"HloModule jit_step\n\n{others}\nENTRY %main.1 (p: f32[1024]) -> f32[1024] {{\n{lines}\n}}\n"


@pytest.mark.parametrize(
    ("instruction", "kind", "sent"),
    [
        (f"%a = f32[1024]{{0}} all-reduce(%p), channel_id=1, {GROUPS}, to_apply=%add", "all-reduce", 6144),
        (f"%a = f32[1024]{{0}} all-gather(%p), {GROUPS}, dimensions={{0}}", "all-gather", 3072),
        (f"%a = f32[1024]{{0}} reduce-scatter(%p), {GROUPS}, to_apply=%add", "reduce-scatter", 4 * 3072),
        (f"%a = bf16[2048]{{0}} all-to-all(%p), {GROUPS}", "all-to-all", 3072),
        ("%a = f32[1024]{0} collective-permute(%p), source_target_pairs={{0,1},{1,0}}", "collective-permute", 4096),
        (f"%a = (f32[256]{{0}}, f32[1024]{{0}}) all-gather-start(%p), {GROUPS}", "all-gather", 3072),
        (f"%a = (f32[1024]{{0}}, f32[256]{{0}}) reduce-scatter-start(%p), {GROUPS}", "reduce-scatter", 3072),
        (f"%a = ((f32[1024]{{0}}), f32[256]{{0}}) reduce-scatter-start(%p), {GROUPS}", "reduce-scatter", 3072),
        ("%a = f32[1024]{0} all-reduce(%p), replica_groups=[2,4]<=[8], to_apply=%add", "all-reduce", 6144),
        ("%a = f32[1024]{0} all-reduce(%p), replica_groups=[4,2]<=[2,4]T(1,0), to_apply=%add", "all-reduce", 4096),
        ("%a = f32[1024]{0} all-reduce(%p), replica_groups={}, to_apply=%add", "all-reduce", 7168),
        (
            "%a = f32[1024]{0} all-reduce-start(%p), channel_id=1, "
            "replica_groups=mesh['axis_0'=2,'axis_1'=4] {'axis_1'}, to_apply=%add",
            "all-reduce",
            6144,
        ),
    ],
)
def test_bytes_of_one_instruction(instruction: str, kind: str, sent: int) -> None:
    assert count_collectives(module(instruction), devices=8).bytes_by_kind == {kind: sent}


REDUCE = f"%r = f32[1024]{{0}} all-reduce(%x), {GROUPS}, to_apply=%add"
BODY = f"%body (x: f32[1024]) -> f32[1024] {{\n  {REDUCE}\n}}\n"
LOOP = "%w = (s32[], f32[1024]{0}) while(%t), condition=%condition, body=%body"


def test_a_loop_counts_as_often_as_it_runs() -> None:
    line = f'{LOOP}, backend_config={{"known_trip_count":{{"n":"24"}},"known_init_step":{{"init":"0"}}}}'
    assert count_collectives(module(line, others=BODY), devices=8).total == 24 * 6144


def test_loops_in_loops_multiply() -> None:
    inner = f'  {LOOP}, backend_config={{"known_trip_count":{{"n":"24"}}}}'
    outer = f"%outer (x: f32[1024]) -> f32[1024] {{\n{inner}\n}}\n"
    line = '%w = f32[] while(%t), condition=%c, body=%outer, backend_config={"known_trip_count":{"n":"32"}}'
    assert count_collectives(module(line, others=BODY + outer), devices=8).total == 24 * 32 * 6144


def condition(*lines: str) -> str:
    body = "\n".join(f"  {line}" for line in lines)
    return f"%condition (x: s32[]) -> pred[] {{\n{body}\n}}\n"


def test_a_loop_runs_until_its_counter_meets_the_constant_of_its_condition() -> None:
    counted = condition(
        "%n = s32[]{:T(128)} constant(24)",
        "ROOT %lt = pred[]{:T(512)} compare(%i, %n), direction=LT",
    )
    found = count_collectives(module(LOOP, others=BODY + counted), devices=8)
    assert (found.total, found.unknown_loops) == (24 * 6144, 0)


@pytest.mark.parametrize(
    "lines",
    [
        ["ROOT %lt = pred[] compare(%i, %n), direction=LT"],
        ["%n = s32[] constant(24)", "ROOT %gt = pred[] compare(%i, %n), direction=GT"],
        ["%n = s32[] constant(24)", "%m = s32[] constant(2)", "ROOT %lt = pred[] compare(%i, %n), direction=LT"],
    ],
)
def test_a_loop_of_unknown_length_counts_once_and_is_reported(lines: list[str]) -> None:
    found = count_collectives(module(LOOP, others=BODY + condition(*lines)), devices=8)
    assert (found.total, found.unknown_loops) == (6144, 1)
    silent = "%body (x: f32[]) -> f32[] {\n}\n"
    assert count_collectives(module(LOOP, others=silent + condition(*lines)), devices=8).unknown_loops == 0


def test_a_fusion_that_keeps_its_part_of_an_all_reduce_is_a_reduce_scatter() -> None:
    fused = f"%all-reduce-scatter.1 (x: f32[1024]) -> f32[256] {{\n  {REDUCE}\n}}\n"
    line = "%f = f32[256]{0} fusion(%p), kind=kCustom, calls=%all-reduce-scatter.1"
    assert count_collectives(module(line, others=fused), devices=8).bytes_by_kind == {"reduce-scatter": 3072}


def test_of_the_branches_of_a_conditional_the_dearest_counts() -> None:
    small = "%small (x: f32[8]) -> f32[8] {\n  %r = f32[8]{0} all-reduce(%x), replica_groups={}, to_apply=%add\n}\n"
    line = "%c = f32[1024]{0} conditional(%i, %a, %b), branch_computations={%small, %body}"
    assert count_collectives(module(line, others=small + BODY), devices=8).total == 6144


def test_halves_of_an_asynchronous_pair_count_once() -> None:
    lines = (
        f"%s = f32[1024]{{0}} all-reduce-start(%p), {GROUPS}, to_apply=%add",
        "%d = f32[1024]{0} all-reduce-done(%s)",
        "%a = ((f32[1024]{0}), f32[1024]{0}, u32[]) async-start(%p), calls=%body",
        "%b = f32[1024]{0} async-done(%a), calls=%body",
    )
    assert count_collectives(module(*lines, others=BODY), devices=8).total == 2 * 6144
