"""Text in pieces."""

import pytest

from jmed_jax.generate.stream import TextStream, until_stop

TEXT = "熱は38℃。𠮷野家へ行く。END余り"


def decode(ids: list[int]) -> str:
    return bytes(ids).decode("utf-8", errors="replace")


def pieces(text: bytes, stop: tuple[str, ...] = (), size: int = 1) -> tuple[list[str], TextStream]:
    stream = TextStream(decode, stop)
    found = [stream.feed(text[start : start + size]) for start in range(0, len(text), size)]
    return [*found, stream.finish()], stream


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_pieces_are_whole_characters_and_join_to_the_text(size: int) -> None:
    found, stream = pieces(TEXT.encode(), size=size)
    assert "".join(found) == TEXT
    assert not any("\ufffd" in piece for piece in found)
    assert sum(map(bool, found)) > 4
    assert not stream.stopped


def test_bytes_that_are_no_text_are_replaced_at_the_end() -> None:
    broken = "熱".encode() + b"\xe7\x86" + "は".encode() + b"\xe7"
    assert "".join(pieces(broken)[0]) == broken.decode(errors="replace")


@pytest.mark.parametrize("size", [1, 5, 100])
def test_text_ends_before_the_first_stop_text(size: int) -> None:
    found, stream = pieces(TEXT.encode(), ("余", "END", "ENDE"), size)
    assert "".join(found) == TEXT[: TEXT.index("END")] == until_stop(TEXT, ("余", "END"))
    assert stream.stopped


def test_what_only_begins_like_a_stop_text_comes_after_all() -> None:
    found, stream = pieces(b"a##b##", ("###",))
    assert found == ["a", "", "", "##b", "", "", "##"]
    assert not stream.stopped
    assert until_stop("a##b##", ("###",)) == "a##b##"
