import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from jmed_jax.errors import InputError
from jmed_jax.instruct.dialogues import read_dialogues

USER, ASSISTANT = {"role": "user", "content": "熱があります"}, {"role": "assistant", "content": "お大事に"}


def read(layout: str, path: Path, content: Any) -> list[tuple[str, list[dict[str, str]]]]:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return list(read_dialogues(layout, path))


def test_alpaca_joins_instruction_and_input(tmp_path: Path) -> None:
    rows = [{"instruction": "訳せ", "input": "fever", "output": "熱"}, {"instruction": "挨拶せよ", "output": "どうも"}]
    first, second = read("alpaca", tmp_path / "a.json", rows)
    assert first == ("a-000001", [{"role": "user", "content": "訳せ\n\nfever"}, {"role": "assistant", "content": "熱"}])
    assert second[1][0]["content"] == "挨拶せよ"


def test_sharegpt_names_are_roles(tmp_path: Path) -> None:
    turns = [("system", "s"), ("human", "u1"), ("gpt", "a1"), ("human", "u2"), ("gpt", "a2")]
    row = {"id": "x7", "conversations": [{"from": role, "value": text} for role, text in turns]}
    ((identifier, messages),) = read("sharegpt", tmp_path / "s.json", [row])
    assert identifier == "x7"
    assert [m["role"] for m in messages] == ["system", "user", "assistant", "user", "assistant"]
    assert messages[3]["content"] == "u2"


def test_json_lines_are_read_as_well(tmp_path: Path) -> None:
    ((_, messages),) = read("messages", tmp_path / "m.jsonl", {"messages": [USER, ASSISTANT]})
    assert messages == [USER, ASSISTANT]


@pytest.mark.parametrize(
    ("layout", "content", "message"),
    [
        ("alpaca", [{"instruction": "x"}], r'bad.json:1: no "output" field \(found: instruction\)'),
        ("alpaca", [{"instruction": "x", "output": " "}], "bad.json:1: an empty turn by the assistant"),
        ("alpaca", [{"instruction": "x", "output": "y"}, "z"], "bad.json:2: record 2 is str"),
        ("sharegpt", [{"conversations": [{"from": "bot", "value": "x"}]}], 'a turn is by "bot"; expected one of'),
        ("sharegpt", [{"conversations": [{"from": "human"}]}], 'needs the texts "from" and "value"'),
        ("messages", [{"messages": [USER]}], "the turns are user; expected user and assistant in turn"),
        ("messages", [{"messages": [ASSISTANT, USER]}], "the turns are assistant, user"),
        ("messages", [{"messages": []}], "the turns are none"),
    ],
)
def test_a_bad_record_is_named(tmp_path: Path, layout: str, content: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(layout, tmp_path / "bad.json", content)
    (tmp_path / "torn.json").write_text('[{"instruction": "x"', encoding="utf-8")
    with pytest.raises(InputError, match=r"torn\.json: not JSON"):
        list(read_dialogues(layout, tmp_path / "torn.json"))


@pytest.mark.parametrize("suffix", [".json.gz", ".jsonl.zst"])
@pytest.mark.parametrize("damage", [lambda packed, _: packed[: len(packed) // 2], lambda _, plain: plain])
def test_a_file_that_is_torn_or_not_compressed_at_all_is_named(
    tmp_path: Path, suffix: str, damage: Callable[[bytes, bytes], bytes]
) -> None:
    rows = [{"instruction": f"{number} * {number}?", "output": str(number**2)} for number in range(1000)]
    plain = json.dumps(rows).encode()
    path = tmp_path / f"a{suffix}"
    path.write_bytes(damage(gzip.compress(plain) if suffix.endswith("gz") else zstandard.compress(plain), plain))
    with pytest.raises(InputError, match=rf"a{suffix}: broken after line"):
        list(read_dialogues("alpaca", path))


def test_an_array_may_begin_with_blank_lines_and_have_many(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('\n \n[\n{"instruction": "x",\n"output": "y"}\n]\n', encoding="utf-8")
    assert [identifier for identifier, _ in read_dialogues("alpaca", path)] == ["a-000001"]
