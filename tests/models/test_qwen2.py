"""The presets against transformers' own Qwen2 of the published sizes, made without memory."""

import pytest

from jmed_jax.models.qwen2 import Size, qwen2

transformers = pytest.importorskip("transformers")
torch = pytest.importorskip("torch")


@pytest.mark.parametrize(
    ("size", "parameters"),
    # What the model cards round to 0.49B, 1.54B, 7.62B and 72.7B.
    [("0.5B", 494_032_768), ("1.5B", 1_543_714_304), ("7B", 7_615_616_512), ("72B", 72_706_203_648)],
)
def test_the_sizes_are_the_published_ones(size: Size, parameters: int) -> None:
    config = qwen2(size)
    assert config.num_parameters == parameters
    theirs = transformers.Qwen2Config(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        intermediate_size=config.mlp_size,
        # One layer stands for all of them: building eighty takes seconds.
        num_hidden_layers=1,
        num_attention_heads=config.num_heads,
        num_key_value_heads=config.num_kv_heads,
        tie_word_embeddings=config.tie_embeddings,
    )
    with torch.device("meta"):
        model = transformers.Qwen2ForCausalLM(theirs)
    layer = sum(p.numel() for p in model.model.layers[0].parameters())
    assert sum(p.numel() for p in model.parameters()) + (config.num_layers - 1) * layer == parameters
    assert model.config.hidden_size // model.config.num_attention_heads == config.head_dim


def test_what_all_sizes_share() -> None:
    for size in ("0.5B", "1.5B", "7B", "72B"):
        config = qwen2(size)
        assert (config.rope_theta, config.norm_eps, config.context_length) == (1e6, 1e-6, 32_768)
        assert (config.gated_mlp, config.qkv_bias, config.scale_embeddings) == (True, True, False)
        assert (config.attention_dropout, config.residual_dropout) == (0, 0)
        assert config.tie_embeddings == (size in ("0.5B", "1.5B"))


def test_a_row_may_be_shorter_than_the_longest_context() -> None:
    short = qwen2("7B", context_length=2048)
    assert short.context_length == 2048
    assert short.num_parameters == qwen2("7B").num_parameters
