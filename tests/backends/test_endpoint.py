"""Against a real HTTP server that behaves as badly as servers do."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from jmed_jax.backends.endpoint import LONGEST_WAIT, Endpoint
from jmed_jax.backends.protocol import Decoding
from jmed_jax.errors import InputError

KEY = "sk-abcdefghijklmnopqrstuvwxyz-0123456789"


def answer(text: str | None, *, prompt: int = 10, completion: int = 2, finish_reason: str = "stop") -> bytes:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return json.dumps({"choices": [choice], "usage": usage}).encode()


def asked_in(body: dict[str, Any]) -> str:
    """The last message, or the text."""
    return body["messages"][-1]["content"] if "messages" in body else body["prompt"]


class Server:
    """Answers each request with what `script` returns for (question, how often it was asked before).

    Attributes:
        requests: (path, headers, body) of each.
        most_at_once: requests that were open at the same time.
    """

    def __init__(self, script: Callable[[str, int], Any]) -> None:
        self.script = script
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.most_at_once = self._open = 0
        self._lock = threading.Lock()
        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._httpd.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._httpd.server_port}"
        threading.Thread(target=self._httpd.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._httpd.shutdown()
        self._httpd.server_close()

    def _handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805  # `self` is the handler's
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                question = asked_in(body)
                with server._lock:
                    before = sum(asked_in(other) == question for _, _, other in server.requests)
                    server.requests.append((self.path, dict(self.headers), body))
                    server._open += 1
                    server.most_at_once = max(server.most_at_once, server._open)
                status, headers, content = server.script(question, before)
                with server._lock:
                    server._open -= 1
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                # An iterator is written piece by piece, slowly.
                for piece in [content] if isinstance(content, bytes) else content:
                    self.wfile.write(piece)
                    self.wfile.flush()

            def log_message(self, *_: object) -> None:
                pass

        return Handler


Serve = Callable[[Callable[[str, int], Any]], Server]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    servers = []

    def serve(script: Callable[[str, int], Any]) -> Server:
        servers.append(Server(script))
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


def asked(*questions: str) -> list[list[dict[str, str]]]:
    return [[{"role": "user", "content": question}] for question in questions]


def endpoint(server: Server, **settings: Any) -> Endpoint:
    return Endpoint(server.url, "org/model", **{"first_wait": 0.01, "timeout": 5.0, **settings})


def test_a_greedy_seeded_question_goes_to_the_usual_address(serve: Serve) -> None:
    server = serve(lambda question, _: (200, {}, answer(question + "です")))
    backend = endpoint(server, seed=7)
    completions = backend.complete(asked("肺炎"), Decoding(33))
    assert [completion.text for completion in completions] == ["肺炎です"]
    ((path, headers, body),) = server.requests
    assert path == "/v1/chat/completions"
    assert (body["model"], body["temperature"], body["seed"], body["max_tokens"]) == ("org/model", 0, 7, 33)
    assert "Authorization" not in headers
    assert backend.counts == {"requests": 1, "answers": 1, "prompt_tokens": 10, "completion_tokens": 2}


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("", "/v1/chat/completions"),
        ("/", "/v1/chat/completions"),
        ("/api/v2/", "/api/v2/chat/completions"),
        ("/x/chat/completions", "/x/chat/completions"),
    ],
)
def test_server_api_and_whole_address_are_all_understood(serve: Serve, url: str, path: str) -> None:
    server = serve(lambda *_: (200, {}, answer("a")))
    Endpoint(server.url + url, "m").complete(asked("q"), Decoding(1))
    assert server.requests[0][0] == path


def test_answers_keep_their_order_while_several_are_in_flight(serve: Serve) -> None:
    def later_ones_first(question: str, _: int) -> Any:
        time.sleep(0.15 if int(question) % 4 == 0 else 0.02)
        return 200, {}, answer(question)

    server = serve(later_ones_first)
    questions = [str(n) for n in range(24)]
    completions = endpoint(server, concurrency=4).complete(asked(*questions), Decoding(1))
    assert [completion.text for completion in completions] == questions
    assert server.most_at_once == 4


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503])
def test_what_may_pass_is_asked_again(serve: Serve, status: int) -> None:
    server = serve(lambda _, before: (status, {}, b"busy") if before < 2 else (200, {}, answer("a")))
    backend = endpoint(server)
    assert backend.complete(asked("q"), Decoding(1))[0].text == "a"
    assert (backend.counts[f"HTTP {status}"], backend.counts["retries"], backend.counts["requests"]) == (2, 2, 3)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_will_not_pass_is_asked_once(serve: Serve, status: int) -> None:
    server = serve(lambda *_: (status, {}, '{"error": "そのモデルはありません"}'.encode()))
    backend = endpoint(server)
    (completion,) = backend.complete(asked("q"), Decoding(1))
    assert completion.text == ""
    assert f"HTTP {status}" in completion.error
    assert "そのモデルはありません" in completion.error
    assert len(server.requests) == backend.counts["given up"] == 1


def test_it_is_given_up_after_so_many_attempts_and_the_others_go_on(serve: Serve) -> None:
    server = serve(lambda question, _: (500, {}, b"") if question == "bad" else (200, {}, answer(question)))
    backend = endpoint(server, attempts=3)
    first, bad, last = backend.complete(asked("a", "bad", "b"), Decoding(1))
    assert (first.text, last.text) == ("a", "b")
    assert bad.error == "HTTP 500 (attempt 3)"
    assert (backend.counts["HTTP 500"], backend.counts["retries"], backend.counts["given up"]) == (3, 2, 1)


@pytest.mark.parametrize("value", ["1", lambda: formatdate(time.time() + 2, usegmt=True)], ids=["seconds", "date"])
def test_retry_after_is_obeyed(serve: Serve, value: Any) -> None:
    def script(_: str, before: int) -> Any:
        header = value() if callable(value) else value
        return (429, {"Retry-After": header}, b"") if before == 0 else (200, {}, answer("a"))

    server = serve(script)
    start = time.monotonic()
    assert endpoint(server).complete(asked("q"), Decoding(1))[0].text == "a"
    # A date has whole seconds, so two of them are at least one.
    assert time.monotonic() - start >= 0.99


def test_a_server_that_wants_a_long_rest_is_not_waited_for(serve: Serve) -> None:
    server = serve(lambda *_: (429, {"Retry-After": str(int(LONGEST_WAIT) + 1)}, b"daily quota"))
    (completion,) = endpoint(server).complete(asked("q"), Decoding(1))
    assert "asks to wait 121 s" in completion.error
    assert len(server.requests) == 1


def test_waits_double(serve: Serve) -> None:
    server = serve(lambda *_: (500, {}, b""))
    start = time.monotonic()
    endpoint(server, first_wait=0.1, attempts=4).complete(asked("q"), Decoding(1))
    assert 0.75 * 0.7 <= time.monotonic() - start < 3


def dripping(*_: object) -> Iterator[bytes]:
    for _ in range(100):
        time.sleep(0.05)
        yield b" "


@pytest.mark.parametrize("slow", ["silent", "dripping"])
def test_a_request_that_takes_too_long_is_cut_and_asked_again(serve: Serve, slow: str) -> None:
    def script(_: str, before: int) -> Any:
        if before == 0 and slow == "dripping":
            return 200, {}, dripping()
        if before == 0:
            time.sleep(1)
        return 200, {}, answer("a")

    backend = endpoint(serve(script), timeout=0.3)
    assert backend.complete(asked("q"), Decoding(1))[0].text == "a"
    assert backend.counts["timeout"] == 1


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"<html>busy</html>", "malformed response"),
        (b'{"choices": [{"mess', "malformed response"),
        (b"\xff\xfe", "malformed response"),
        (b"[]", "malformed response"),
        (b"[" * 100_000, "malformed response"),
        (b"{}", "no choices"),
        (b'{"choices": []}', "no choices"),
        (b'{"choices": null}', "no choices"),
        (b'{"choices": [{"text": "a"}]}', "no choices"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_broken_response_is_counted_and_asked_again(serve: Serve, content: bytes, kind: str) -> None:
    server = serve(lambda _, before: (200, {}, content) if before == 0 else (200, {}, answer("a")))
    backend = endpoint(server)
    assert backend.complete(asked("q"), Decoding(1))[0].text == "a"
    assert (backend.counts[kind], backend.counts["retries"]) == (1, 1)


@pytest.mark.parametrize("text", [None, "", " \n"])
def test_an_empty_answer_is_no_answer(serve: Serve, text: str | None) -> None:
    backend = endpoint(serve(lambda *_: (200, {}, answer(text, finish_reason="content_filter"))))
    (completion,) = backend.complete(asked("q"), Decoding(1))
    assert (completion.text, backend.counts["empty answer"], backend.counts["requests"]) == ("", 1, 1)
    assert "content_filter" in completion.error


def test_half_an_emoji_in_an_answer_can_be_kept(serve: Serve) -> None:
    # Cut after so many tokens, some servers send the first half of a pair.
    cut = answer("熱😀").replace(rb"\ude00", b"")
    backend = endpoint(serve(lambda *_: (200, {}, cut)))
    (completion,) = backend.complete(asked("q"), Decoding(1))
    assert completion.text == "熱\ufffd"


def test_answers_that_were_cut_are_counted(serve: Serve) -> None:
    backend = endpoint(serve(lambda *_: (200, {}, answer("a", finish_reason="length"))))
    backend.complete(asked("q"), Decoding(1))
    assert backend.counts["cut at max_new_tokens"] == 1


def test_nobody_at_the_address(serve: Serve) -> None:
    server = serve(lambda *_: (200, {}, answer("a")))
    server.close()
    backend = endpoint(server, attempts=2)
    (completion,) = backend.complete(asked("q"), Decoding(1))
    assert completion.error.startswith("no connection")
    assert backend.counts["connection"] == 2


def test_redirects_are_not_followed(serve: Serve) -> None:
    elsewhere = serve(lambda *_: (200, {}, answer("a")))
    server = serve(lambda *_: (307, {"Location": elsewhere.url + "/v1/chat/completions"}, b""))
    backend = endpoint(server)
    (completion,) = backend.complete(asked("q"), Decoding(1))
    assert elsewhere.url in completion.error
    assert (elsewhere.requests, backend.counts["redirect"]) == ([], 1)


def test_a_text_goes_to_the_other_half_of_the_api(serve: Serve) -> None:
    content = json.dumps({"choices": [{"text": "です", "finish_reason": "stop"}]}).encode()
    server = serve(lambda *_: (200, {}, content))
    (completion,) = endpoint(server).complete(["肺炎は"], Decoding(5, stop=("\n\n",)))
    ((path, _, body),) = server.requests
    assert (completion.text, path) == ("です", "/v1/completions")
    assert (body["prompt"], body["stop"]) == ("肺炎は", ["\n\n"])


def test_answers_come_with_their_tokens_and_the_time_of_their_own_request(serve: Serve) -> None:
    def slow(question: str, _: int) -> Any:
        time.sleep(0.2 if question == "b" else 0.0)
        return 200, {}, answer(question)

    first, second = endpoint(serve(slow)).complete(asked("a", "b"), Decoding(1))
    assert (first.prompt_tokens, first.completion_tokens) == (10, 2)
    assert first.seconds is not None and second.seconds is not None and first.seconds < 0.2 <= second.seconds


def test_answers_are_handed_on_as_they_come_and_nobody_is_asked_once_nobody_listens(serve: Serve) -> None:
    server = serve(lambda question, _: (200, {}, answer(question)))
    answers = endpoint(server, concurrency=1).answers(asked(*map(str, range(50))), Decoding(1))
    assert next(answers)[1].text == "0"
    answers.close()
    assert len(server.requests) < 5


def test_there_is_no_beam_search(serve: Serve) -> None:
    server = serve(lambda *_: (200, {}, answer("a")))
    with pytest.raises(InputError, match="no beam search"):
        endpoint(server).complete(asked("q"), Decoding(1, beams=4))
    assert not server.requests


# --- budget -----------------------------------------------------------------------------------------------------------


def test_a_budget_of_requests_is_never_exceeded(serve: Serve) -> None:
    server = serve(lambda question, before: (500, {}, b"") if before == 0 else (200, {}, answer(question)))
    backend = endpoint(server, max_requests=5, concurrency=3)
    completions = backend.complete(asked("a", "b", "c", "d"), Decoding(1))
    assert len(server.requests) == backend.counts["requests"] == 5
    assert sum(completion.text != "" for completion in completions) <= 2
    assert all(completion.over_budget for completion in completions if not completion.text)
    assert all(completion.over_budget for completion in backend.complete(asked("e"), Decoding(1)))


def test_a_budget_of_tokens_stops_further_requests(serve: Serve) -> None:
    server = serve(lambda question, _: (200, {}, answer(question, prompt=30, completion=20)))
    backend = endpoint(server, max_tokens=100, concurrency=1)
    completions = backend.complete(asked("a", "b", "c"), Decoding(1))
    assert [completion.over_budget for completion in completions] == [False, False, True]


def test_a_budget_of_tokens_needs_a_server_that_counts(serve: Serve) -> None:
    server = serve(lambda *_: (200, {}, b'{"choices": [{"message": {"content": "a"}}]}'))
    with pytest.raises(InputError, match="usage"):
        endpoint(server, max_tokens=100).complete(asked("q"), Decoding(1))


# --- the key ----------------------------------------------------------------------------------------------------------


def test_the_key_is_sent_and_stands_in_no_message(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MY_KEY", KEY + "\n")
    caplog.set_level(logging.DEBUG)

    # So long that the key stands where the excerpt ends.
    server = serve(lambda *_: (401, {}, ("x" * 180 + f" wrong key: {KEY}").encode()))
    backend = endpoint(server, key_variable="MY_KEY")
    completions = backend.complete(asked("q"), Decoding(1))
    assert server.requests[0][1]["Authorization"] == f"Bearer {KEY}"
    captured = capfd.readouterr()
    messages = [*(completion.error for completion in completions), caplog.text, captured.out, captured.err]
    messages += [repr(backend), repr(completions), str(backend.counts)]
    assert not any(KEY[:10] in message for message in messages)


def test_a_redirect_that_repeats_the_key_does_not_give_it_away(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    server = serve(lambda *_: (307, {"Location": f"https://elsewhere.example/?key={KEY}"}, b""))
    (completion,) = endpoint(server, key_variable="MY_KEY").complete(asked("q"), Decoding(1))
    assert completion.error.startswith("HTTP 307: redirected to https://elsewhere.example/?key=[key]")


def test_the_usual_key_is_taken_where_it_is_set(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(lambda *_: (200, {}, answer("a")))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    endpoint(server).complete(asked("q"), Decoding(1))
    endpoint(server, key_variable="").complete(asked("q"), Decoding(1))
    assert [headers.get("Authorization") for _, headers, _ in server.requests] == [f"Bearer {KEY}", None]


@pytest.mark.parametrize("key", [None, "", "a\nb", "鍵" + KEY, f"{KEY} {KEY}"])
def test_a_key_that_cannot_be_sent_is_refused_unseen(monkeypatch: pytest.MonkeyPatch, key: str | None) -> None:
    monkeypatch.setenv("MY_KEY", key) if key is not None else monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(InputError, match="MY_KEY") as error:
        Endpoint("http://localhost", "m", key_variable="MY_KEY")
    assert KEY not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{KEY}@host/v1",
        f"https://host/v1?key={KEY}",
        "localhost:8000",
        "ftp://host",
        "http://",
        "",
        "http://a:b",
    ],
)
def test_an_address_that_is_none_or_holds_secrets_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="endpoint") as error:
        Endpoint(url, "m")
    assert KEY not in str(error.value)


def test_the_name_is_never_a_path() -> None:
    assert Endpoint("http://localhost", "/srv/models/swallow/", key_variable="").name == "swallow"
    assert Endpoint("http://localhost", "org/swallow", key_variable="").name == "org/swallow"
