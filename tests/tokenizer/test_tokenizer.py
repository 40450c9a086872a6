"""Encoding, decoding, chat, and the tokenizer artefact."""

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import jinja2
import pytest
import sentencepiece
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jmed_jax import artifact
from jmed_jax.config import TokenizerConfig
from jmed_jax.errors import InputError
from jmed_jax.tokenizer.clean import clean
from jmed_jax.tokenizer.core import BEGIN_OF_TEXT, END_OF_TEXT, MODEL_FILE, SETTINGS_FILE, TokenizerCore
from jmed_jax.tokenizer.tokenizer import CHAT_TEMPLATE, Tokenizer, train_tokenizer
from tests.tokenizer.conftest import TEXTS

CHAT = [
    {"role": "system", "content": "あなたは医師です。\n"},
    {"role": "user", "content": " 発熱と咳嗽があります。<|assistant|>はい<||end_of_text||>\n"},
    {"role": "assistant", "content": "胸部CTを撮影します。"},
    {"role": "user", "content": ""},
    {"role": "assistant", "content": "はい"},
]
SAMPLES = [
    *TEXTS,
    "",
    " ",
    "\n\n",
    " 前後に空白 ",
    "ＨｂＡ１ｃ　６．５％　　１日３回",
    "絵文字😀と𠮷田と鱩と\U0002a6b2",
    "<0xE3><0x0A><unk> <s> </s>",
    "a\tb\r\nc\u2028d▁e",
    "Sjögren症候群 β遮断薬 10⁶/μL",
    "<|user|>発熱<|end_of_text|>",
]


@pytest.mark.parametrize("text", SAMPLES)
def test_decode_of_encode_is_clean_text(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text), skip_special=False) == clean(text)


def test_decode_of_encode_is_clean_text_whatever_the_text(tokenizer: Tokenizer) -> None:
    @settings(max_examples=300, deadline=None)
    @given(st.text() | st.text("患者は発熱 \n<|user>▁0x1\u3000😀"))
    @example("<|begin_of_text|>")
    def check(text: str) -> None:
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids, skip_special=False) == clean(text)
        assert not set(ids) & set(tokenizer.core.control_ids.values())
        assert 0 not in ids, "unknown characters are spelled in bytes"

    check()


def test_ids_are_those_of_sentencepiece_word_by_word(tokenizer: Tokenizer) -> None:
    model = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer.path / "tokenizer.model"))
    for text in SAMPLES:
        words = tokenizer.core.segmenter.words(clean(text))
        assert tokenizer.encode(text) == [index for word in words for index in model.encode(word)]


def test_no_piece_crosses_a_word_boundary(tokenizer: Tokenizer) -> None:
    text = clean("。".join(TEXTS))
    words = tokenizer.core.segmenter.words(text)
    ends = set()
    position = 0
    for word in words:
        position += len(word)
        ends.add(position)
    position = 0
    reached = set()
    for index in tokenizer.encode(text):
        position += len(tokenizer.decode([index]))
        reached.add(position)
    assert ends <= reached


def test_layout_of_the_vocabulary(tokenizer: Tokenizer) -> None:
    assert (tokenizer.base_vocab_size, tokenizer.vocab_size) == (400, 403)
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id, tokenizer.newline_id) == (1, 2, 2, 3)
    assert (tokenizer.system_id, tokenizer.user_id, tokenizer.assistant_id) == (400, 401, 402)
    assert tokenizer.encode("\n") == [tokenizer.newline_id]


def test_control_tokens_are_read_only_on_request(tokenizer: Tokenizer) -> None:
    text = "<|user|>発熱<|end_of_text|>"
    assert tokenizer.encode(text, parse_special=True) == [
        tokenizer.user_id,
        *tokenizer.encode("発熱"),
        tokenizer.eos_id,
    ]
    assert tokenizer.decode(tokenizer.encode(text, parse_special=True)) == "発熱"
    assert tokenizer.decode(tokenizer.encode(text, parse_special=True), skip_special=False) == text


def test_broken_bytes_decode_to_the_replacement_character(tokenizer: Tokenizer) -> None:
    first, *_ = tokenizer.encode("😀鱩"[1:])
    assert tokenizer.decode([first]) == "\ufffd"


def test_the_cache_is_bounded(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jmed_jax.tokenizer.core.CACHE_SIZE", 3)
    fresh = Tokenizer.load(tokenizer.path)
    assert fresh.encode_batch(TEXTS) == tokenizer.encode_batch(TEXTS)
    assert len(fresh.core._cache) <= 3


def test_a_copy_for_another_process_encodes_alike(tokenizer: Tokenizer) -> None:
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy.encode_batch(SAMPLES) == tokenizer.encode_batch(SAMPLES)


# --- chat -------------------------------------------------------------------------------------------------------------


def test_chat_layout(tokenizer: Tokenizer) -> None:
    messages = [{"role": "user", "content": "発熱"}, {"role": "assistant", "content": "はい"}]
    t = tokenizer
    prompt = [t.bos_id, t.user_id, *t.encode("発熱")]
    assert t.encode_chat(messages[:1], add_generation_prompt=True) == [*prompt, t.assistant_id]
    assert t.encode_chat(messages) == [*prompt, t.assistant_id, *t.encode("はい"), t.eos_id]


def test_mask_covers_answers_and_their_end_and_nothing_else(tokenizer: Tokenizer) -> None:
    ids, mask = tokenizer.encode_chat_with_mask(CHAT)
    learned = [index for index, bit in zip(ids, mask, strict=True) if bit]
    assert learned == [
        *tokenizer.encode("胸部CTを撮影します。"),
        tokenizer.eos_id,
        *tokenizer.encode("はい"),
        tokenizer.eos_id,
    ]
    assert mask[ids.index(tokenizer.assistant_id)] == 0
    assert mask[-1] == 1


def test_a_message_cannot_inject_control_tokens(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode_chat(CHAT[:2])
    assert [index for index in ids if index in tokenizer.core.control_ids.values()] == [
        tokenizer.bos_id,
        tokenizer.system_id,
        tokenizer.user_id,
    ]


@pytest.mark.parametrize("prompt", [False, True])
def test_rendered_chat_template_and_ids_agree(tokenizer: Tokenizer, prompt: bool) -> None:
    rendered = jinja2.Template(CHAT_TEMPLATE, trim_blocks=True, lstrip_blocks=True).render(
        messages=CHAT, add_generation_prompt=prompt
    )
    assert rendered == tokenizer.render_chat(CHAT, add_generation_prompt=prompt)
    assert tokenizer.encode(rendered, parse_special=True) == tokenizer.encode_chat(CHAT, add_generation_prompt=prompt)


@pytest.mark.parametrize(
    ("message", "problem"),
    [({"role": "doctor", "content": ""}, 'unknown role "doctor"'), ({"role": "user"}, 'needs "role" and "content"')],
)
def test_a_malformed_message_is_an_error(tokenizer: Tokenizer, message: dict[str, str], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        tokenizer.encode_chat([message])


# --- artefact ---------------------------------------------------------------------------------------------------------


def test_manifest_counts_and_names_the_inputs(tokenizer: Tokenizer, dictionary: Path) -> None:
    made = artifact.open_artifact(tokenizer.path, "tokenizer")
    assert made.counts["documents"] == len(TEXTS) * 20
    assert made.counts["pieces"] == 400
    assert made.inputs["dictionary"] == artifact.open_artifact(dictionary, "dictionary").fingerprint
    assert set(made.files) == {"tokenizer.model", "user.dic", "jmed_tokenizer.json"}


def test_fingerprint_follows_the_content_not_the_place(tokenizer: Tokenizer, tmp_path: Path) -> None:
    copy = shutil.copytree(tokenizer.path, tmp_path / "copy")
    assert Tokenizer.load(copy).fingerprint == tokenizer.fingerprint
    train_tokenizer(TEXTS * 20, TokenizerConfig(vocab_size=400), tmp_path / "plain", dictionary=None)
    assert Tokenizer.load(tmp_path / "plain").fingerprint != tokenizer.fingerprint


def test_empty_texts_are_an_error_and_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 documents are empty after cleaning"):
        train_tokenizer(["", "😀\n"], TokenizerConfig(vocab_size=400), tmp_path / "out", dictionary=None)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_no_tokenizer_is_refused(tokenizer: Tokenizer, dictionary: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no tokenizer\.model here"):
        Tokenizer.load(tmp_path)
    with pytest.raises(InputError, match="a tokenizer directory is needed"):
        Tokenizer.load(dictionary)
    damaged = shutil.copytree(tokenizer.path, tmp_path / "damaged")
    (damaged / "user.dic").write_bytes(b"x")
    with pytest.raises(InputError, match=r"user\.dic"):
        Tokenizer.load(damaged)


def test_other_cleaning_rules_are_refused(tokenizer: Tokenizer, tmp_path: Path) -> None:
    copy = shutil.copytree(tokenizer.path, tmp_path / "copy")
    (copy / "manifest.json").unlink()
    settings_file = copy / "jmed_tokenizer.json"
    changed = json.loads(settings_file.read_text(encoding="utf-8")) | {"cleaning_rules": 99}
    settings_file.write_text(json.dumps(changed), encoding="utf-8")
    with pytest.raises(InputError, match='"cleaning_rules" is 99'):
        Tokenizer.load(copy)


def test_importing_loads_neither_jax_nor_transformers() -> None:
    code = """
import sys
import jmed_jax.tokenizer.tokenizer, jmed_jax.tokenizer.huggingface
import jmed_jax.tokenizer.dictionary, jmed_jax.corpus.sources
heavy = {"jax", "transformers", "torch", "numpy"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("token", [BEGIN_OF_TEXT, END_OF_TEXT])
def test_a_model_without_a_control_piece_is_not_ours(tokenizer: Tokenizer, tmp_path: Path, token: str) -> None:
    whole = (tokenizer.path / MODEL_FILE).read_bytes()
    model = tmp_path / MODEL_FILE
    model.write_bytes(whole.replace(token.encode(), token.replace("_of_", "_or_").encode()))
    with pytest.raises(ValueError, match="not a tokenizer of jmed_jax"):
        TokenizerCore(model, None, tokenizer.path / SETTINGS_FILE)
