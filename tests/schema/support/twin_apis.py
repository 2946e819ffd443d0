"""The same API twice, with and without compiled functions, queried in turn without a network."""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
from starlette.applications import Starlette

from eventscope.app import build
from eventscope.schema.context import Services
from eventscope.settings import Settings

ERROR_ID = re.compile(rb"[0-9a-f]{32}")
PATH = re.compile(rb'"path":\[[^]]*\]')
JSON = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to the byte, and what was logged, with all ids of errors replaced by the same one."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    logged: tuple[tuple[int, str], ...]

    @property
    def without_ids(self) -> "Answer":
        """The answer without what may vary: of several items that fail together, graphql-core reports any of them."""
        return replace(
            self, body=PATH.sub(lambda path: re.sub(rb"\d+", b"0", path[0]), self.body), headers=self.headers[1:]
        )


@dataclass(frozen=True, slots=True)
class TwinApis:
    """The two APIs."""

    compiled: Starlette
    plain: Starlette

    async def differ(self, asked: object, headers: Mapping[str, str] = JSON, *, exact: bool = True) -> str | None:
        """How the answers differ; None if they do not, or only in what may vary."""
        body = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
        wanted = await ask(self.plain, body, headers)
        found = await ask(self.compiled, body, headers)
        same = found == wanted or (not exact and found.without_ids == wanted.without_ids)
        return None if same else f"{body!r}\n  with    {found}\n  without {wanted}"


def twin_apis(settings: Settings, services: Services) -> TwinApis:
    """Two applications over the same log."""
    return TwinApis(*(build(settings.model_copy(update={"compiled": on}), services) for on in (True, False)))


class _Ears(logging.Handler):
    def __init__(self, records: list[tuple[int, str]]) -> None:
        super().__init__()
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append((record.levelno, ERROR_ID.sub(b"id", record.getMessage().encode()).decode()))


@contextmanager
def _heard() -> Iterator[list[tuple[int, str]]]:
    """What is logged within the block."""
    records: list[tuple[int, str]] = []
    ears, logger = _Ears(records), logging.getLogger("eventscope")
    level = logger.level
    logger.addHandler(ears)
    logger.setLevel(logging.INFO)
    try:
        yield records
    finally:
        logger.removeHandler(ears)
        logger.setLevel(level)


async def ask(app: Starlette, body: bytes, headers: Mapping[str, str] = JSON, parts: int = 1) -> Answer:
    """The answer to a POST whose body comes in this many parts."""
    size = -(-len(body) // parts)
    chunks = [body[start : start + size] for start in range(0, len(body), size or 1)] or [b""]
    pending = [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
        for number, chunk in enumerate(chunks, start=1)
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return pending.pop(0) if pending else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/graphql",
        "raw_path": b"/graphql",
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in {"host": "127.0.0.1", **headers}.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    with _heard() as records:
        await app(scope, receive, send)
    start, *rest = sent
    whole = b"".join(message.get("body", b"") for message in rest)
    return Answer(start["status"], tuple(map(tuple, start["headers"])), ERROR_ID.sub(b"id", whole), tuple(records))


async def metrics_of(app: Starlette) -> str:
    """What the application reports to Prometheus."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
        return (await client.get("/metrics")).text
