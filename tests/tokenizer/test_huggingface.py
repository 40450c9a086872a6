"""The exported tokenizer works in transformers without jmed_jax, and agrees with ours to the last id."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jmed_jax.config import TokenizerConfig
from jmed_jax.tokenizer.clean import clean, escape_control_tokens
from jmed_jax.tokenizer.huggingface import write_huggingface_tokenizer
from jmed_jax.tokenizer.tokenizer import Tokenizer, train_tokenizer
from tests.tokenizer.conftest import TEXTS
from tests.tokenizer.test_tokenizer import CHAT, SAMPLES

transformers = pytest.importorskip("transformers")

# Control tokens in a text are read as such by transformers; ours never does. See the chat tests for them.
PLAIN = [text for text in SAMPLES if "<|" not in text]

# Blocks jmed_jax and prints what the exported tokenizer says.
ALONE = """
import json, sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "jmed_jax":
            raise ImportError("jmed_jax is blocked")

sys.meta_path.insert(0, Block())
from transformers import AutoTokenizer
given = json.loads(sys.stdin.read())
tokenizer = AutoTokenizer.from_pretrained(given["path"], trust_remote_code=True)
ids = [tokenizer(text)["input_ids"] for text in given["texts"]]
tokenizer.save_pretrained(given["again"])
print(json.dumps({
    "ids": ids,
    "texts": [tokenizer.decode(row) for row in ids],
    "chat": tokenizer.apply_chat_template(given["chat"])["input_ids"],
    "prompt": tokenizer.apply_chat_template(given["chat"], add_generation_prompt=True)["input_ids"],
    "rendered": tokenizer.apply_chat_template(given["chat"], tokenize=False),
    "special": [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, len(tokenizer)],
    "length": tokenizer.model_max_length,
    "skipped": tokenizer.decode(tokenizer.apply_chat_template(given["chat"])["input_ids"], skip_special_tokens=True),
}))
"""


@pytest.fixture(scope="module")
def exported(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported")
    write_huggingface_tokenizer(tokenizer, path, model_max_length=2048)
    return path


def run_alone(path: Path, cwd: Path) -> dict:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"HF_HOME": str(cwd / "hf"), "HF_HUB_OFFLINE": "1"}
    given_input = {"path": str(path), "texts": PLAIN, "chat": CHAT, "again": str(cwd / "again")}
    result = subprocess.run(
        [sys.executable, "-I", "-c", ALONE],
        input=json.dumps(given_input),
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def check_answers(tokenizer: Tokenizer, answers: dict) -> None:
    assert answers["ids"] == tokenizer.encode_batch(PLAIN)
    assert answers["texts"] == [clean(text) for text in PLAIN]
    assert answers["chat"] == tokenizer.encode_chat(CHAT)
    assert answers["prompt"] == tokenizer.encode_chat(CHAT, add_generation_prompt=True)
    assert answers["rendered"] == tokenizer.render_chat(CHAT)
    assert answers["special"] == [tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id, tokenizer.vocab_size]
    assert answers["length"] == 2048
    assert answers["skipped"] == tokenizer.decode(tokenizer.encode_chat(CHAT))


@pytest.mark.slow
def test_export_agrees_without_jmed_jax_and_after_save_pretrained(
    tokenizer: Tokenizer, exported: Path, tmp_path: Path
) -> None:
    check_answers(tokenizer, run_alone(exported, tmp_path))
    again = tmp_path / "again"
    other = tmp_path / "other"
    other.mkdir()
    check_answers(tokenizer, run_alone(again, other))
    assert Tokenizer.load(again).fingerprint == tokenizer.fingerprint


@pytest.fixture(scope="module", autouse=True)
def module_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """transformers copies the code of a tokenizer here; not into the home directory."""
    with pytest.MonkeyPatch.context() as patch:
        cache = str(tmp_path_factory.mktemp("modules"))
        patch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", cache)
        patch.syspath_prepend(cache)
        yield


@pytest.fixture(scope="module")
def reloaded(exported: Path):  # type: ignore[no-untyped-def]
    return transformers.AutoTokenizer.from_pretrained(str(exported), trust_remote_code=True)


def test_ids_agree_whatever_the_text(tokenizer: Tokenizer, reloaded) -> None:  # type: ignore[no-untyped-def]
    @settings(max_examples=150, deadline=None)
    @given(st.text() | st.text("患者は発熱 \n<|user>▁0x1\u3000😀"))
    def check(text: str) -> None:
        text = escape_control_tokens(text)
        ids = reloaded(text)["input_ids"]
        assert ids == tokenizer.encode(text)
        assert reloaded.decode(ids) == tokenizer.decode(ids)

    check()


def test_batches_are_padded_on_the_left(tokenizer: Tokenizer, reloaded) -> None:  # type: ignore[no-untyped-def]
    batch = reloaded(["発熱", "発熱と頭痛があります。"], padding=True)
    short, long = batch["input_ids"]
    assert len(short) == len(long)
    assert short == [tokenizer.pad_id] * (len(long) - len(tokenizer.encode("発熱"))) + tokenizer.encode("発熱")
    assert sum(batch["attention_mask"][0]) == len(tokenizer.encode("発熱"))


def test_an_unknown_role_is_an_error(reloaded) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(Exception, match="unknown role doctor"):
        reloaded.apply_chat_template([{"role": "doctor", "content": "はい"}])


def test_an_export_loads_as_our_tokenizer(tokenizer: Tokenizer, exported: Path) -> None:
    loaded = Tokenizer.load(exported)
    assert loaded.fingerprint == tokenizer.fingerprint
    assert loaded.encode_batch(SAMPLES) == tokenizer.encode_batch(SAMPLES)


def test_a_tokenizer_without_dictionary_exports_as_well(tmp_path: Path) -> None:
    out = train_tokenizer(TEXTS * 20, TokenizerConfig(vocab_size=400), tmp_path / "plain", dictionary=None).path
    plain = Tokenizer.load(out)
    write_huggingface_tokenizer(plain, tmp_path / "hf", model_max_length=128)
    other = transformers.AutoTokenizer.from_pretrained(str(tmp_path / "hf"), trust_remote_code=True)
    assert [other(text)["input_ids"] for text in PLAIN] == plain.encode_batch(PLAIN)
