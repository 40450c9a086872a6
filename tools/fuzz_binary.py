"""Readers of what is compressed, framed or binary: sources of a corpus, rows, tokenizers, tensors."""

import io
import json
import struct
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fuzz_files import Files, Manifest, Packed, Reader, as_json, folder_files, gz, lines, zst

TEXT = "発熱と咳が続いている。"
DOCUMENTS = lines(*({"id": str(n), "text": TEXT * 9, "license": "CC0"} for n in range(4)))
OSCAR = {
    "content": TEXT * 9,
    "warc_headers": {"warc-target-uri": "https://example.org/"},
    "metadata": {
        "identification": {"label": "ja", "prob": 0.9},
        "harmful_pp": 700.0,
        "quality_warnings": ["short_sentences"],
        "categories": None,
    },
}
VOCABULARY, ROW_LENGTH = 64, 8


def binary_readers() -> list[Reader]:
    """They need the libraries of the formats, JAX and transformers among them."""
    return [*_source_readers(), *_data_readers(), *_tokenizer_readers(), *_tensor_readers()]


# --- sources of a corpus ----------------------------------------------------------------------------------------------


def _source_readers() -> list[Reader]:
    oscar, warc, plain = lines(OSCAR, OSCAR), _warc(), f"{TEXT}\n咳が出る。\n".encode()
    sources: dict[str, tuple[str, bytes | Packed]] = {
        "notes.jsonl": ("jsonl", DOCUMENTS),
        "notes.jsonl.gz": ("jsonl", gz(DOCUMENTS)),
        "notes.jsonl.zst": ("jsonl", zst(DOCUMENTS)),
        "oscar.jsonl": ("oscar", oscar),
        "oscar.jsonl.zst": ("oscar", zst(oscar)),
        "notes.txt": ("lines", plain),
        "book.txt.gz": ("files", gz(plain)),
        "book.txt.zst": ("files", zst(plain)),
        "web.warc": ("warc", warc),
        "web.wet.gz": ("warc", gz(warc)),
        "notes.parquet": ("parquet", Packed(DOCUMENTS, _parquet)),
        "ja.array_record-00000-of-00001": ("wiki40b", Packed(_article(), _array_record)),
        "ja.tfrecord-00000-of-00001": ("wiki40b", Packed(_article(), _tfrecord)),
    }
    return [Reader(f"source {name}", {name: data}, _read_source(name, kind)) for name, (kind, data) in sources.items()]


def _read_source(name: str, kind: str) -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        from jmed_jax.corpus.config import SourceConfig
        from jmed_jax.corpus.record import Problems
        from jmed_jax.corpus.sources import read_documents

        source = SourceConfig("fuzzed", (str(folder / name),), kind)  # type: ignore[arg-type]
        # As they are kept: what cannot be written is no text.
        return [
            as_json([doc.id, doc.text, doc.metadata]) for doc in read_documents(source, [folder / name], Problems())
        ]

    return read


def _warc() -> bytes:
    body = f"{TEXT}\n".encode()
    head = f"WARC/1.0\r\nWARC-Type: conversion\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return head + body + b"\r\n\r\n"


def _parquet(rows: bytes) -> bytes:
    """Rows of JSON as a table: columns of whatever type their values are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    stream = io.BytesIO()
    try:
        pq.write_table(pa.Table.from_pylist([json.loads(row) for row in rows.splitlines()]), stream)
    except (pa.ArrowException, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError("no table") from error
    return stream.getvalue()


def _article() -> bytes:
    """As tensorflow-datasets prepares them."""
    from tensorflow_datasets.proto import tf_example_pb2

    example = tf_example_pb2.Example()
    for name, value in {"wikidata_id": "Q1", "text": f"\n_START_ARTICLE_\n架空病\n_START_PARAGRAPH_\n{TEXT}"}.items():
        example.features.feature[name].bytes_list.value.append(value.encode())
    return bytes(example.SerializeToString())


def _array_record(record: bytes) -> bytes:
    """A shard of three records, this one in the middle."""
    return _shard([_article(), record, _article()])


def _shard(records: Sequence[bytes]) -> bytes:
    from array_record.python.array_record_module import ArrayRecordWriter

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shard"
        writer = ArrayRecordWriter(str(path), "group_size:1,uncompressed")
        for record in records:
            writer.write(record)
        writer.close()
        return path.read_bytes()


def _tfrecord(record: bytes) -> bytes:
    """The same as TFRecord, with zeros for the checksums, which are not looked at."""
    framed = [struct.pack("<QI", len(data), 0) + data + bytes(4) for data in (_article(), record, _article())]
    return b"".join(framed)


# --- corpus and rows --------------------------------------------------------------------------------------------------


def _data_readers() -> list[Reader]:
    record = _row()
    rows: Files = {"rows-00000.array_record": Packed(record, lambda data: _shard([record, data, record, record]))}
    corpus: Files = {"documents-00000.jsonl.zst": zst(DOCUMENTS)}
    config = {"row_length": ROW_LENGTH, "vocab_size": VOCABULARY}
    return [
        Reader("corpus", corpus, _read_corpus, Manifest("corpus", {}, {}, {})),
        Reader("rows", rows, _read_rows, Manifest("rows", config, {"tokenizer": "none"}, {"rows": 4})),
    ]


def _row() -> bytes:
    import numpy as np

    from jmed_jax.data.rows import Row, RowFormat

    ones = np.ones(ROW_LENGTH, np.int32)
    return RowFormat(ROW_LENGTH, VOCABULARY).encode(Row(ones, ones, ones.astype(bool)))


def _read_corpus(folder: Path) -> object:
    from jmed_jax.corpus.documents import iter_documents

    return list(iter_documents(folder))


def _read_rows(folder: Path) -> object:
    import jax

    from jmed_jax.config import DataConfig, ExperimentConfig
    from jmed_jax.parallel.mesh import make_mesh
    from jmed_jax.train.batches import Batches, open_training_rows

    config = ExperimentConfig("fuzzed", _model(), DataConfig(str(folder), batch_size=2))
    _, row_format, shards = open_training_rows(config)
    batches = Batches(config, make_mesh(config.mesh, jax.devices()[:1]), row_format, shards)
    return [batches.take(index) for index in range(2)]


# --- tokenizers -------------------------------------------------------------------------------------------------------


def _tokenizer_readers() -> list[Reader]:
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = _train_tokenizer(Path(folder) / "ours"), _write_bpe(Path(folder) / "theirs")
    return [Reader("tokenizer", ours, _read_tokenizer), Reader("hf tokenizer", theirs, _read_tokenizer)]


def _train_tokenizer(out: Path) -> dict[str, bytes]:
    """Without its manifest, as it stands in an exported model's directory: no hash guards it."""
    from jmed_jax.config import TokenizerConfig
    from jmed_jax.tokenizer.tokenizer import train_tokenizer

    train_tokenizer(
        [chr(code) * 2 + TEXT for code in range(0x3041, 0x3097)], TokenizerConfig(320), out, dictionary=None
    )
    return {name: data for name, data in folder_files(out).items() if name != "manifest.json"}


def _write_bpe(out: Path) -> dict[str, bytes]:
    """The smallest of Qwen2's kind: 256 bytes, a merge, three special tokens and a chat template."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*alphabet, "th"])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [("t", "h")]))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    template = (
        "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "chat_template": template,
    }
    out.mkdir()
    tokenizer.save(str(out / "tokenizer.json"))
    (out / "tokenizer_config.json").write_bytes(as_json(config))
    return folder_files(out)


def _read_tokenizer(folder: Path) -> object:
    from jmed_jax.tokenizer.load import load_tokenizer

    tokenizer = load_tokenizer(folder)
    messages = [{"role": "user", "content": TEXT}, {"role": "assistant", "content": "the end"}]
    ids = tokenizer.encode_chat_with_mask(messages)[0]
    return tokenizer.decode(ids), tokenizer.decode(tokenizer.document_ids(TEXT)), sum(tokenizer.byte_counts())


# --- tensors ----------------------------------------------------------------------------------------------------------


def _tensor_readers() -> list[Reader]:
    from jmed_jax.convert.tensor_files import INDEX

    shards = {f"model-{n}.safetensors": _safetensors({f"weight{n}": [2, 2]}) for n in (1, 2)}
    index = as_json({"metadata": {}, "weight_map": {f"weight{n}": f"model-{n}.safetensors" for n in (1, 2)}})
    return [
        Reader("safetensors", {"model.safetensors": _safetensors({"weight": [2, 2]})}, _read_slots),
        Reader("safetensors index", {**shards, INDEX: index}, _read_slots),
        Reader("hf model", _write_model(), _read_model),
        Reader("adapter", _write_adapter(), _read_adapter),
    ]


def _safetensors(shapes: dict[str, list[int]]) -> Packed:
    """A file of zeros, whose plain bytes are its header."""
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 4 * shape[0] * shape[1]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    return Packed(as_json(header), lambda data: len(data).to_bytes(8, "little") + data + bytes(end))


def _model() -> Any:
    from jmed_jax.config import ModelConfig

    return ModelConfig(
        vocab_size=VOCABULARY,
        num_layers=1,
        hidden_size=8,
        mlp_size=16,
        num_heads=2,
        num_kv_heads=1,
        head_dim=4,
        context_length=ROW_LENGTH,
        gated_mlp=True,
        qkv_bias=True,
        scale_embeddings=False,
    )


def _zeros(abstract: Any) -> Any:
    import jax
    import numpy as np

    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), abstract)


def _write_model() -> dict[str, bytes]:
    from flax import nnx

    from jmed_jax.convert.huggingface import write_weights
    from jmed_jax.models.decoder import abstract_parameters

    with tempfile.TemporaryDirectory() as folder:
        parameters = _zeros(nnx.to_pure_dict(abstract_parameters(_model())[1]))
        write_weights(Path(folder), _model(), parameters, token_ids={})
        return folder_files(Path(folder))


def _write_adapter() -> dict[str, bytes]:
    from jmed_jax.config import LoraConfig
    from jmed_jax.convert.peft import write_adapter
    from jmed_jax.models.lora import abstract_adapter

    lora = LoraConfig(rank=2, alpha=4)
    with tempfile.TemporaryDirectory() as folder:
        write_adapter(Path(folder), _model(), lora, _zeros(abstract_adapter(_model(), lora)), "base")
        return folder_files(Path(folder))


def _read_slots(folder: Path) -> object:
    from jmed_jax.convert.tensor_files import model_slots

    return model_slots(folder)


def _read_model(folder: Path) -> object:
    from jmed_jax.convert.architecture import read_model_config
    from jmed_jax.convert.huggingface import read_parameters

    return read_parameters(folder, read_model_config(folder))


def _read_adapter(folder: Path) -> object:
    from jmed_jax.convert.peft import read_adapter

    return read_adapter(folder, _model())
