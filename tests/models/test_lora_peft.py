"""Adapters against PEFT: logits, gradients and a few steps on a random Qwen2, float32 (peft 0.21)."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jmed_jax.config import LoraConfig, ModelConfig
from jmed_jax.convert.names import tensors
from jmed_jax.models.decoder import abstract_parameters
from jmed_jax.models.lora import LINEARS, LowRank, abstract_adapter, attach, initialize_adapter

peft = pytest.importorskip("peft", reason="PEFT is the reference here")
torch = pytest.importorskip("torch")

MODEL = ModelConfig(
    vocab_size=96,
    num_layers=2,
    hidden_size=32,
    mlp_size=48,
    num_heads=4,
    num_kv_heads=2,
    head_dim=8,
    context_length=32,
    gated_mlp=True,
    qkv_bias=True,
    scale_embeddings=False,
    attention_dropout=0.0,
    residual_dropout=0.0,
)
PLAIN = LoraConfig(rank=4, alpha=8.0, base="float32")
VARIANTS = {
    "lora": PLAIN,
    "rslora": replace(PLAIN, rank_stabilized=True),
    "dora": replace(PLAIN, dora=True),
    "two targets": replace(PLAIN, targets=("q_proj", "down_proj")),
}
IDS_BT = np.random.default_rng(0).integers(0, MODEL.vocab_size, (4, 24))


@dataclass(frozen=True)
class Pair:
    """A PEFT model and the same in our trees."""

    theirs: Any
    lora: LoraConfig
    base: dict[str, Any]
    adapter: dict[str, Any]

    def losses(self, adapter: Any) -> jax.Array:
        graphdef, _ = abstract_parameters(MODEL, self.lora)
        logits = nnx.merge(graphdef, attach(self.base, adapter))(jnp.asarray(IDS_BT))
        return optax.softmax_cross_entropy_with_integer_labels(logits[:, :-1], IDS_BT[:, 1:]).mean()

    def their_values(self, of: str = "data") -> dict[str, Any]:
        """The adapter's values in the PEFT model, or their gradients, as our tree."""
        values: dict[str, Any] = {}
        for name in self.lora.targets:
            module, linear = LINEARS[name]
            layers = [_linear(self.theirs, name, layer) for layer in range(MODEL.num_layers)]
            stacked = {
                "a": np.stack([getattr(layer.lora_A["default"].weight, of).numpy().T for layer in layers]),
                "b": np.stack([getattr(layer.lora_B["default"].weight, of).numpy().T for layer in layers]),
            }
            if self.lora.dora:
                magnitudes = [getattr(layer.lora_magnitude_vector["default"].weight, of) for layer in layers]
                stacked["magnitude"] = np.stack([magnitude.numpy() for magnitude in magnitudes])
            values.setdefault("blocks", {}).setdefault(module, {})[linear] = {"lora": stacked}
        return values


def _linear(model: Any, name: str, layer: int) -> Any:
    block = model.base_model.model.model.layers[layer]
    return getattr(block.self_attn if LINEARS[name][0] == "attention" else block.mlp, name)


@pytest.fixture(params=VARIANTS)
def pair(request: pytest.FixtureRequest) -> Pair:
    return make_pair(VARIANTS[request.param])


def make_pair(lora: LoraConfig) -> Pair:
    """A random Qwen2 with an adapter that is far from fresh."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=MODEL.vocab_size,
        hidden_size=MODEL.hidden_size,
        intermediate_size=MODEL.mlp_size,
        num_hidden_layers=MODEL.num_layers,
        num_attention_heads=MODEL.num_heads,
        num_key_value_heads=MODEL.num_kv_heads,
        max_position_embeddings=MODEL.context_length,
        rope_theta=MODEL.rope_theta,
        rms_norm_eps=MODEL.norm_eps,
        initializer_range=0.2,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=1,
    )
    plain = Qwen2ForCausalLM(config)
    base = _tree_of(plain.state_dict())
    settings = peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        target_modules=list(lora.targets),
        use_rslora=lora.rank_stabilized,
        use_dora=lora.dora,
        task_type="CAUSAL_LM",
    )
    theirs = peft.get_peft_model(plain, settings)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in theirs.named_parameters():
        if "lora_" in name:
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    unfilled = Pair(theirs, lora, base, {})
    return replace(unfilled, adapter=jax.tree.map(jnp.asarray, unfilled.their_values()))


def _tree_of(state: dict[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for tensor in tensors(MODEL):
        array = state[tensor.name].numpy()
        node = tree
        for key in tensor.path[:-1]:
            node = node.setdefault(key, {})
        node.setdefault(tensor.path[-1], []).append(array.T if tensor.transpose else array)
    stacks = jax.tree.map(np.stack, tree["blocks"], is_leaf=lambda node: isinstance(node, list))
    whole = jax.tree.map(lambda node: node[0], tree, is_leaf=lambda node: isinstance(node, list))
    return jax.tree.map(jnp.array, {**whole, "blocks": stacks})


def test_logits_equal_those_of_peft(pair: Pair) -> None:
    graphdef, _ = abstract_parameters(MODEL, pair.lora)
    ours = nnx.merge(graphdef, attach(pair.base, pair.adapter))(jnp.asarray(IDS_BT))
    with torch.no_grad():
        theirs = pair.theirs(torch.tensor(IDS_BT)).logits.numpy()
        with pair.theirs.disable_adapter():
            without = pair.theirs(torch.tensor(IDS_BT)).logits.numpy()
    assert np.abs(theirs - without).max() > 0.1
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_gradients_equal_those_of_peft(pair: Pair) -> None:
    gradients = jax.jit(jax.grad(pair.losses))(pair.adapter)
    ids = torch.tensor(IDS_BT)
    pair.theirs(ids, labels=ids).loss.backward()
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5, rtol=1e-3), gradients, pair.their_values("grad")
    )


def test_losses_of_ten_adamw_steps_equal_those_of_peft(pair: Pair) -> None:
    rate, decay = 1e-2, 0.01
    parameters = [parameter for parameter in pair.theirs.parameters() if parameter.requires_grad]
    theirs = torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=decay)
    ids, their_losses = torch.tensor(IDS_BT), []
    for _ in range(10):
        theirs.zero_grad()
        loss = pair.theirs(ids, labels=ids).loss
        loss.backward()
        theirs.step()
        their_losses.append(loss.item())

    optimizer = optax.adamw(rate, 0.9, 0.999, 1e-8, weight_decay=decay)

    @jax.jit
    def step(adapter: Any, state: Any) -> tuple[Any, Any, jax.Array]:
        loss, gradients = jax.value_and_grad(pair.losses)(adapter)
        updates, state = optimizer.update(gradients, state, adapter)
        return optax.apply_updates(adapter, updates), state, loss

    adapter, state, losses = pair.adapter, optimizer.init(pair.adapter), []
    for _ in range(10):
        adapter, state, loss = step(adapter, state)
        losses.append(float(loss))
    assert losses[-1] < losses[0] - 0.2
    np.testing.assert_allclose(losses, their_losses, atol=1e-4)


@pytest.mark.parametrize("name", ["lora", "dora"])
def test_dropout_is_where_peft_has_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = make_pair(VARIANTS[name])
    layer = _linear(pair.theirs, "up_proj", 0)
    generator = np.random.default_rng(2)
    x_PI = generator.normal(size=(5, MODEL.hidden_size)).astype(np.float32)
    mask_1I = generator.integers(0, 2, (1, MODEL.hidden_size)).astype(np.float32) * 2

    class Mask(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x * torch.tensor(mask_1I)

    layer.lora_dropout["default"] = Mask()
    monkeypatch.setattr("jmed_jax.models.lora.dropout", lambda x, _rate, _key: x * mask_1I)
    first = jax.tree.map(lambda leaf: leaf[0], pair.adapter["blocks"]["mlp"]["up"]["lora"])
    kernel = pair.base["blocks"]["mlp"]["up"]["kernel"][0]
    y_PO = x_PI @ kernel
    ours = y_PO + LowRank(first, pair.lora)(x_PI, y_PO, kernel, jax.random.key(0))
    with torch.no_grad():
        theirs = layer.train()(torch.tensor(x_PI)).numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_a_fresh_adapter_has_the_distribution_of_peft_s() -> None:
    wide = replace(MODEL, hidden_size=512)
    lora = replace(PLAIN, rank=64, targets=("q_proj",))
    a = initialize_adapter(wide, lora, 0, {})["blocks"]["attention"]["query"]["lora"]["a"]
    theirs = torch.empty(64, 512)
    torch.nn.init.kaiming_uniform_(theirs, a=5**0.5)
    np.testing.assert_allclose(np.abs(a).max(), theirs.abs().max(), rtol=1e-3)
    np.testing.assert_allclose(a.std(), theirs.std(), rtol=0.01)
    assert jax.tree.map(lambda leaf: leaf.shape, abstract_adapter(wide, lora)) == jax.tree.map(
        lambda leaf: leaf.shape, initialize_adapter(wide, lora, 0, {})
    )
