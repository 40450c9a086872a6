from typing import Any

import pytest

from jmed_jax.hardware import H100
from jmed_jax.models.qwen2 import qwen2
from jmed_jax.plan.inference import plan_inference

SEVEN = qwen2("7B")


def on(plan: dict[str, Any], device: str, base: str) -> dict[str, Any]:
    (found,) = [row for row in plan["devices"] if (row["device"], row["format"]) == (device, base)]
    return found


def test_weights_of_seven_billion() -> None:
    weights = plan_inference(SEVEN, batch=1, length=4096)["weights_bytes"]
    assert weights["bfloat16"] == 2 * 7_615_616_512
    # The token embedding and the head stay in bfloat16: 1.09 B parameters.
    blocks = SEVEN.num_parameters - 2 * SEVEN.vocab_size * SEVEN.hidden_size
    assert weights["int8"] == pytest.approx(weights["bfloat16"] - blocks, rel=0.01)
    assert weights["nf4"] == pytest.approx(weights["bfloat16"] - 1.48 * blocks, rel=0.01)


def test_the_cache_grows_with_batch_and_length() -> None:
    one = plan_inference(SEVEN, batch=1, length=1024)
    # Two of 28 layers × 4 heads × 128 numbers in two bytes.
    assert one["kv_cache_bytes"] == 2 * 28 * 4 * 128 * 2 * 1024
    many = plan_inference(SEVEN, batch=64, length=8192)
    assert many["kv_cache_bytes"] == 64 * 8 * one["kv_cache_bytes"]
    assert on(one, "rtx4090", "bfloat16")["fits"]
    assert not on(many, "rtx4090", "bfloat16")["fits"]
    total = on(many, "rtx4090", "bfloat16")["total_bytes"]
    assert total == many["weights_bytes"]["bfloat16"] + many["kv_cache_bytes"]
    assert on(many, "rtx4090", "bfloat16")["devices_needed"] == -(-total // int(0.9 * 24e9))


def test_decoding_is_bound_by_what_a_token_reads() -> None:
    plan = plan_inference(SEVEN, batch=1, length=4096)
    embedding = 2 * SEVEN.vocab_size * SEVEN.hidden_size
    read = plan["weights_bytes"]["bfloat16"] - embedding + plan["kv_cache_bytes"]
    assert on(plan, "h100", "bfloat16")["decode_tokens_per_s"] == pytest.approx(H100.memory_bandwidth / read)
    # One sequence is as fast in a batch; a tied embedding is read whole.
    batch = plan_inference(SEVEN, batch=8, length=4096)
    assert on(batch, "h100", "nf4")["decode_tokens_per_s"] == on(plan, "h100", "nf4")["decode_tokens_per_s"]
    tied = plan_inference(qwen2("0.5B"), batch=1, length=1)
    rate = on(tied, "h100", "bfloat16")["decode_tokens_per_s"]
    assert rate == pytest.approx(H100.memory_bandwidth / (2 * 494_032_768), rel=1e-3)


def test_reading_a_prompt_is_a_forward_pass() -> None:
    plan = plan_inference(SEVEN, batch=2, length=1000, mfu=0.5)
    multiplying = SEVEN.num_parameters - SEVEN.vocab_size * SEVEN.hidden_size
    flops = 2 * 1000 * (2 * multiplying + 2 * 28 * 1000 * 28 * 128)
    assert on(plan, "h100", "bfloat16")["prefill_seconds"] == pytest.approx(flops / (0.5 * H100.peak_flops))
