"""Wiki-40B as tensorflow-datasets prepares it."""

import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import tensorflow_datasets as tfds
from datatrove.data import Document

from jmed_jax.corpus.config import SourceConfig
from jmed_jax.corpus.record import Problems
from jmed_jax.corpus.sources import list_source_files, read_documents
from jmed_jax.corpus.sources.wiki40b import split_structure
from jmed_jax.errors import InputError

ARTICLE = (
    "\n_START_ARTICLE_\n架空病\n_START_PARAGRAPH_\n架空病は、架空の病気である。_NEWLINE_次の段落  。"
    "\n_START_SECTION_\n症状\n_START_PARAGRAPH_\n発熱。\n_START_SECTION_\n脚注"
)
TEXT = "架空病は、架空の病気である。\n次の段落  。\n症状\n発熱。\n脚注"


class Wiki40b(tfds.core.GeneratorBasedBuilder):
    """The published features; what it generates is ours."""

    VERSION = tfds.core.Version("1.3.0")
    BUILDER_CONFIGS: ClassVar = [tfds.core.BuilderConfig(name="ja")]
    # Nothing is downloaded; looking for a list of downloads needs a package that tensorflow-datasets does not declare.
    url_infos: ClassVar[dict[str, Any]] = {}

    def _info(self) -> Any:
        names = ("wikidata_id", "text", "version_id")
        features = tfds.features.FeaturesDict({name: tfds.features.Text() for name in names})
        return tfds.core.DatasetInfo(builder=self, features=features, disable_shuffling=True)

    def _split_generators(self, _: Any) -> dict[str, Any]:
        return {"train": self._generate_examples(150), "validation": self._generate_examples(1)}

    def _generate_examples(self, count: int) -> Iterator[tuple[int, dict[str, str]]]:
        for number in range(count):
            yield number, {"wikidata_id": f"Q{number}", "text": ARTICLE, "version_id": str(number)}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`wiki40b/ja/1.3.0` in ArrayRecord."""
    root = tmp_path_factory.mktemp("tensorflow_datasets")
    Wiki40b(data_dir=root, file_format="array_record", config="ja").download_and_prepare()
    return root / "wiki40b" / "ja" / "1.3.0"


def read(path: Path, *files: Path) -> tuple[list[Document], Problems]:
    source = SourceConfig(name="wikipedia", paths=(str(path),), format="wiki40b", license="CC BY-SA 3.0")
    problems = Problems()
    return list(read_documents(source, files or list_source_files(source, Path()), problems)), problems


def test_a_prepared_directory_is_read_without_tensorflow(prepared: Path) -> None:
    documents, problems = read(prepared)
    assert len(documents) == 151
    first = documents[0]
    assert first.id == "wikipedia/wiki40b-train-00000-of-00001-0000001"
    assert first.text == TEXT
    assert first.metadata == {
        "source": "wikipedia",
        "license": "CC BY-SA 3.0",
        "origin": "https://www.wikidata.org/wiki/Q0",
        "title": "架空病",
    }
    assert documents[149].metadata["origin"] == "https://www.wikidata.org/wiki/Q149"
    assert documents[150].id == "wikipedia/wiki40b-validation-00000-of-00001-0000001"
    assert not problems.counts
    assert "tensorflow" not in sys.modules


def test_shards_hold_what_tensorflow_datasets_reads(prepared: Path) -> None:
    data_source = tfds.builder_from_directory(prepared).as_data_source("train")
    documents, _ = read(prepared, *prepared.glob("*train*"))
    assert [split_structure(row["text"].decode())[1] for row in data_source] == [d.text for d in documents]


def test_a_broken_record_does_not_cost_the_others(prepared: Path, tmp_path: Path) -> None:
    from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter

    reader = ArrayRecordReader(str(next(prepared.glob("*train*"))))
    records = reader.read(0, 20)
    noise = random.Random(0).randbytes(500)
    path = tmp_path / "wiki40b-train.array_record-00000-of-00001"
    writer = ArrayRecordWriter(str(path), "group_size:1")
    for record in [*records[:9], noise, b"", *records[11:15], b"\n\0" + noise, *records[16:]]:
        writer.write(record)
    writer.close()
    content = bytearray(path.read_bytes())
    place = content.find(noise[100:])
    content[place : place + 50] = bytes(50)
    path.write_bytes(content)
    documents, problems = read(path)
    assert [int(document.id[-7:]) for document in documents] == [*range(1, 10), *range(12, 16), *range(17, 21)]
    assert problems.places == {"broken record": [f"{path.name}:{number}" for number in (10, 11, 16)]}


@pytest.mark.parametrize("length", [0, 1000, 100_000])
def test_a_shard_that_lost_its_end_is_an_error(prepared: Path, tmp_path: Path, length: int) -> None:
    path = tmp_path / "wiki40b-train.array_record-00000-of-00001"
    path.write_bytes(next(prepared.glob("*train*")).read_bytes()[:length])
    with pytest.raises(InputError, match="unreadable ArrayRecord, and no usable record"):
        read(path)


def test_tfrecord_is_read_as_far_as_it_goes(prepared: Path, tmp_path: Path) -> None:
    from array_record.python.array_record_module import ArrayRecordReader
    from tensorboardX.record_writer import RecordWriter

    path = tmp_path / "wiki40b-train.tfrecord-00000-of-00001"
    writer = RecordWriter(str(path))
    records = ArrayRecordReader(str(next(prepared.glob("*train*")))).read(0, 5)
    for record in [*records[:2], b"\xff" * 30, *records[3:]]:
        writer.write(record)
    writer.close()
    documents, problems = read(path)
    assert [document.text for document in documents] == [TEXT] * 4
    assert problems.places == {"broken record": [f"{path.name}:3"]}
    whole = path.read_bytes()
    for content, used, fault in ((whole[:-1], 3, 5), (whole[:-200], 3, 5), (whole + b"\xff" * 100, 4, 6)):
        path.write_bytes(content)
        documents, problems = read(path)
        assert len(documents) == used
        assert problems.places == {"broken record": [f"{path.name}:3", f"{path.name}:{fault}"]}


def test_without_tensorflow_datasets_the_message_says_how_to_go_on(
    prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow_datasets.proto", None)
    with pytest.raises(InputError, match=r"needs tensorflow_datasets.* jmed_jax\[corpus\]\. Prepare Wiki-40B once"):
        read(prepared)


@pytest.mark.parametrize(
    ("marked", "title", "text"),
    [
        (ARTICLE, "架空病", TEXT),
        ("_START_ARTICLE_\n題\n\n_START_SECTION_\n節\n_START_SECTION_\n小節\n", "題", "節\n小節"),
        ("_START_ARTICLE_\n題_START_PARAGRAPH_\n一_NEWLINE__NEWLINE_二", "題", "一\n\n二"),
        ("印のない文\nSTART_ARTICLE　NEWLINE", "", "印のない文\nSTART_ARTICLE　NEWLINE"),
        ("", "", ""),
    ],
)
def test_structure_is_split_and_the_rest_is_verbatim(marked: str, title: str, text: str) -> None:
    assert split_structure(marked) == (title, text)
