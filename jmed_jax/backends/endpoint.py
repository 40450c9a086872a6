"""Models behind an OpenAI-compatible address: vLLM, the llama.cpp server, or a provider's."""

import asyncio
import email.utils
import os
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from jmed_jax.backends.protocol import Backend, Completion, Decoding, Prompt
from jmed_jax.errors import InputError
from jmed_jax.jsonl import parse_json

if TYPE_CHECKING:
    import httpx

CHAT_ROUTE = "/chat/completions"
TEXT_ROUTE = "/completions"
"""Goes on with a text, for base models; the older half of the API, which vLLM and the llama.cpp server have too."""
DEFAULT_KEY_VARIABLE = "OPENAI_API_KEY"
# 408, 409 and 429 say that the same request may succeed later; any other 4xx says that it will not.
RETRIED_STATUSES = frozenset({408, 409, 429})
LONGEST_WAIT = 120.0
"""Seconds between two attempts; a server that asks for more (a daily quota, say) is given up on."""
BODY_EXCERPT = 200
"""Characters of a server's own error message that are passed on."""
ROUNDS_A_BATCH = 8
"""A batch is so many times what is in flight: the time when the last ones are waited for is short beside it."""


class Endpoint(Backend):
    """Asks `/v1/chat/completions` (or `/v1/completions`, for texts) with several requests in flight.

    Greedy and seeded, as far as the server obeys.

    Attributes:
        counts: beside those of every backend: `retries`, `given up`, `cut at max_new_tokens`, `timeout`, `connection`,
            `redirect`, `malformed response`, `no choices`, `empty answer`, `HTTP 429` and so on.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        key_variable: str | None = None,
        concurrency: int = 8,
        timeout: float = 120.0,
        attempts: int = 5,
        first_wait: float = 1.0,
        seed: int = 0,
        max_requests: int | None = None,
        max_tokens: int | None = None,
    ) -> None:
        """
        Args:
            url: the server ("http://localhost:8000"), its API ("…/v1"), or the whole address.
            model: as the server calls it.
            key_variable: environment variable that holds the API key; None takes that of `DEFAULT_KEY_VARIABLE` where
                it is set, "" sends none.
            concurrency: requests in flight.
            timeout: seconds for one whole request.
            attempts: how often a question is asked before it is given up.
            first_wait: seconds before the second attempt; they double. A server's Retry-After goes before.
            max_requests: no further request is sent after so many, retries included.
            max_tokens: no request is sent once the server has reported so many tokens, read and written.

        Raises:
            InputError: the address is malformed or holds a password or a query, or the key is missing or malformed.
        """
        self.url = _route(url)
        self.name = _model_name(model)
        self.batch_size = ROUNDS_A_BATCH * concurrency
        self.counts: Counter[str] = Counter()
        self._model = model
        self._key = _read_key(key_variable)
        self.concurrency = concurrency
        self._timeout = timeout
        self._attempts = attempts
        self._first_wait = first_wait
        self._seed = seed
        self._max_requests = max_requests
        self._max_tokens = max_tokens
        self._jitter = random.Random(seed)

    def answers(
        self,
        prompts: Sequence[Prompt],
        decoding: Decoding,
        *,
        ids: Sequence[str] | None = None,  # noqa: ARG002 (the server knows none)
    ) -> Iterator[tuple[int, Completion]]:
        """Every prompt's index and completion, as they come; whoever stops listening sends nothing more.

        Raises:
            InputError: beams are asked for; or there is a budget of tokens, and the server does not say how many it
                used.
        """
        if decoding.beams > 1:
            raise InputError(f"{self.name}: this API has no beam search. Leave out --beams.")
        # The loop runs only while an answer is waited for.
        with asyncio.Runner() as runner:
            flight = _Flight(self, prompts, decoding)
            try:
                runner.run(flight.start())
                for _ in prompts:
                    yield runner.run(flight.next())
            finally:
                runner.run(flight.end())

    async def ask(self, client: "httpx.AsyncClient", prompt: Prompt, decoding: Decoding) -> Completion:
        """One answer, with all attempts that it takes."""
        url, body = self._request(prompt, decoding)
        for attempt in range(1, self._attempts + 1):
            if self._budget_is_spent:
                return Completion("", "the budget is spent", over_budget=True)
            self.counts["requests"] += 1
            try:
                return await self._ask(client, url, body)
            except _Failure as failure:
                self.counts[failure.kind] += 1
                if not failure.may_pass or attempt == self._attempts:
                    self.counts["given up"] += 1
                    error = f"{failure.detail} (attempt {attempt})"
                    return Completion("", error, is_final=failure.kind == "empty answer")
                self.counts["retries"] += 1
                await asyncio.sleep(self._wait(attempt) if failure.wait is None else failure.wait)
        raise AssertionError("at least one attempt")

    def _request(self, prompt: Prompt, decoding: Decoding) -> tuple[str, dict[str, Any]]:
        """Address and body."""
        body: dict[str, Any] = {
            "model": self._model,
            "max_tokens": decoding.max_new_tokens,
            "temperature": 0,
            "seed": self._seed,
        }
        if decoding.stop:
            body["stop"] = list(decoding.stop)
        if isinstance(prompt, str):
            return self.url.removesuffix(CHAT_ROUTE) + TEXT_ROUTE, {**body, "prompt": prompt}
        return self.url, {**body, "messages": [dict(message) for message in prompt]}

    def open_client(self) -> "httpx.AsyncClient":
        """Connections for the requests of one round."""
        import httpx

        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        limits = httpx.Limits(max_connections=self.concurrency)
        # Redirects stay off, httpx's default: they could carry texts and key to another host.
        return httpx.AsyncClient(headers=headers, timeout=self._timeout, limits=limits, verify=self._tls)

    def _wait(self, attempt: int) -> float:
        # Requests that failed together do not all come back together.
        return min(LONGEST_WAIT, self._first_wait * 2 ** (attempt - 1) * self._jitter.uniform(0.75, 1.25))

    @property
    def _budget_is_spent(self) -> bool:
        tokens = self.counts["prompt_tokens"] + self.counts["completion_tokens"]
        return (self._max_requests is not None and self.counts["requests"] >= self._max_requests) or (
            self._max_tokens is not None and tokens >= self._max_tokens
        )

    def _excerpt(self, text: str) -> str:
        """The start of what a server wrote, without the key: some repeat it when it is wrong."""
        return " ".join((text.replace(self._key, "[key]") if self._key else text).split())[:BODY_EXCERPT]

    @cached_property
    def _tls(self) -> Any:
        # Reading the certificates takes longer than a small request.
        import httpx

        return httpx.create_ssl_context() if self.url.startswith("https:") else False

    # --- one request --------------------------------------------------------------------------------------------------

    async def _ask(self, client: "httpx.AsyncClient", url: str, body: Mapping[str, Any]) -> Completion:
        import httpx

        started = time.perf_counter()
        try:
            # httpx's own timeout starts anew with every byte that arrives.
            async with asyncio.timeout(self._timeout):
                response = await client.post(url, json=body)
        except (TimeoutError, httpx.TimeoutException):
            raise _Failure("timeout", f"no answer within {self._timeout:g} s") from None
        except httpx.HTTPError as error:
            raise _Failure(
                "connection", f"no connection ({self._excerpt(str(error)) or type(error).__name__})"
            ) from None
        if not response.is_success:
            raise self._status_failure(response)
        return self._read_answer(response, "messages" in body, time.perf_counter() - started)

    def _status_failure(self, response: "httpx.Response") -> "_Failure":
        status = response.status_code
        if response.is_redirect:
            target = self._excerpt(response.headers.get("Location", ""))
            return _Failure("redirect", f"HTTP {status}: redirected to {target}; give that address", may_pass=False)
        detail = f"HTTP {status}: {self._excerpt(response.text)}".rstrip(": ")
        may_pass = status in RETRIED_STATUSES or status >= 500
        wait = _retry_after(response.headers.get("Retry-After", "")) if may_pass else None
        if wait is not None and wait > LONGEST_WAIT:
            detail, may_pass = f"{detail}; the server asks to wait {wait:,.0f} s", False
        return _Failure(f"HTTP {status}", detail, may_pass=may_pass, wait=wait)

    def _read_answer(self, response: "httpx.Response", is_chat: bool, seconds: float) -> Completion:
        try:
            body = parse_json(response.content)
        except ValueError:
            raise _Failure("malformed response", "the response is not JSON") from None
        if not isinstance(body, dict):
            raise _Failure("malformed response", "the response is no JSON object")
        used = self._count_tokens(body.get("usage"))
        try:
            choice = body["choices"][0]
            text = choice["message"]["content"] if is_chat else choice["text"]
        except (KeyError, IndexError, TypeError):
            place = "message.content" if is_chat else "text"
            raise _Failure("no choices", f"the response has no choices[0].{place}") from None
        if not isinstance(text, str) or not text.strip():
            # Asked again, a greedy model says nothing again.
            reason = choice.get("finish_reason")
            raise _Failure("empty answer", f"an empty answer (finish_reason {reason!r})", may_pass=False)
        self.counts["answers"] += 1
        if choice.get("finish_reason") == "length":
            self.counts["cut at max_new_tokens"] += 1
        return Completion(text, prompt_tokens=used[0], completion_tokens=used[1], seconds=seconds)

    def _count_tokens(self, usage: Any) -> tuple[int | None, int | None]:
        """Tokens read and written, as far as the server says."""
        usage = usage if isinstance(usage, dict) else {}
        used: list[int | None] = []
        for name in ("prompt_tokens", "completion_tokens"):
            used.append(usage[name] if isinstance(usage.get(name), int) else None)
            if used[-1] is None and self._max_tokens is not None:
                raise InputError(f'{self.name}: the server reports no "usage"; limit requests instead of tokens.')
            self.counts[name] += used[-1] or 0
        return used[0], used[1]


class _Flight:
    """The requests of one round: as many at a time as the endpoint allows, answers in a queue as they come."""

    def __init__(self, endpoint: Endpoint, prompts: Sequence[Prompt], decoding: Decoding) -> None:
        self._endpoint = endpoint
        self._decoding = decoding
        self._left = iter(list(enumerate(prompts)))
        self._finished: asyncio.Queue[tuple[int, Completion] | BaseException] = asyncio.Queue()
        self._workers: list[asyncio.Task[None]] = []
        self._client: httpx.AsyncClient | None = None

    async def start(self) -> None:
        self._client = self._endpoint.open_client()
        self._workers = [asyncio.create_task(self._work(self._client)) for _ in range(self._endpoint.concurrency)]

    async def next(self) -> tuple[int, Completion]:
        """The next answer; raises what went wrong on the way, which no other attempt mends."""
        found = await self._finished.get()
        if isinstance(found, BaseException):
            raise found
        return found

    async def end(self) -> None:
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    async def _work(self, client: "httpx.AsyncClient") -> None:
        for index, prompt in self._left:
            try:
                self._finished.put_nowait((index, await self._endpoint.ask(client, prompt, self._decoding)))
            except Exception as error:
                # Raised again where somebody listens.
                self._finished.put_nowait(error)
                return


class _Failure(Exception):
    """One attempt without an answer.

    Attributes:
        kind: what is counted.
        may_pass: the same request may succeed later.
        wait: seconds that the server asks for.
    """

    def __init__(self, kind: str, detail: str, *, may_pass: bool = True, wait: float | None = None) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.may_pass = may_pass
        self.wait = wait


def _retry_after(value: str) -> float | None:
    """Seconds of a Retry-After header: a number, or a date (RFC 9110 §10.2.3)."""
    try:
        return max(0.0, float(value) if value.strip().isdecimal() else _seconds_until(value))
    except ValueError:
        return None


def _seconds_until(date: str) -> float:
    return email.utils.parsedate_to_datetime(date).timestamp() - time.time()


# --- what the user gave -----------------------------------------------------------------------------------------------


def _route(url: str) -> str:
    """The address of the chat completions.

    Raises:
        InputError: no http(s) address, or it holds a password or a query.
    """
    import httpx

    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise InputError(f"the endpoint is no address ({error}). Expected http://HOST:PORT/v1.") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise InputError("the endpoint needs the form http://HOST:PORT/v1 or https://HOST/v1.")
    # Addresses end up in messages: what is secret does not belong there.
    if parsed.userinfo or parsed.query or parsed.fragment:
        raise InputError(
            f"the endpoint on {parsed.host}: give the address without user, password, query and fragment; "
            "a key goes into an environment variable, named with --key-variable."
        )
    path = parsed.path.rstrip("/")
    if path.endswith(CHAT_ROUTE):
        return str(parsed.copy_with(path=path))
    return str(parsed.copy_with(path=(path or "/v1") + CHAT_ROUTE))


def _model_name(model: str) -> str:
    """A server may know its model by a path; the name is the last part of it."""
    return model.rstrip("/").rpartition("/")[2] if model.startswith(("/", ".", "~")) else model


def _read_key(variable: str | None) -> str:
    """The API key of an environment variable, or "".

    Raises:
        InputError: the variable is asked for and not set, or what it holds cannot be sent.
    """
    if variable == "":
        return ""
    key = os.environ.get(variable or DEFAULT_KEY_VARIABLE, "").strip()
    if variable and not key:
        raise InputError(f"the environment variable {variable} holds no API key. Set it, or leave out --key-variable.")
    # The HTTP library would put what it cannot send into its error message.
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise InputError(f"the environment variable {variable or DEFAULT_KEY_VARIABLE} holds no usable API key.")
    return key
