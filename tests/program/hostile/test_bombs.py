"""Bombs: small documents that would cause a great deal of work are refused, after little work."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from eventscope.processes.ports import free
from eventscope.schema.build import Schema, build
from eventscope.settings import Settings
from eventscope.store.log import Log
from tests.program.hostile import bombs
from tests.program.hostile.bombs import BOMBS
from tests.support.processes import eventscope_process
from tests.support.until import until

CODES = {"circles of 30": "BAD_USER_INPUT", "a schema in itself": "BAD_USER_INPUT"}
SMALL = {"query": "{ stats { totalEvents } }"}


async def test_a_running_server_refuses_every_bomb_and_still_answers_others(settings: Settings, log: Log) -> None:
    own = settings.model_copy(update={"port": free()})
    async with eventscope_process(own, "serve", "--no-ingest"), httpx.AsyncClient(timeout=60.0) as http:
        url = f"http://127.0.0.1:{own.port}"

        async def ask(body: object) -> Any:
            return (await http.post(f"{url}/graphql", json=body)).json()

        await until(lambda: _answers(http, url))
        for name, (bomb, size) in BOMBS.items():
            sent = {"query": bomb(size)}
            *refused, answered, health = await asyncio.gather(
                *(ask(sent) for _ in range(3)), ask(SMALL), http.get(f"{url}/healthz")
            )
            for answer in refused:
                assert "data" not in answer
                assert CODES.get(name, "QUERY_TOO_COMPLEX") in {e["extensions"]["code"] for e in answer["errors"]}
            assert answered == {"data": {"stats": {"totalEvents": 0}}}
            assert health.json() == {"status": "ok"}


async def _answers(http: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(f"{url}/healthz")).is_success
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(
    ("bomb", "size"),
    [
        (bombs.fragments, 60),
        (lambda steps: bombs.fragments(steps, 5), 30),
        (bombs.introspection, 60),
        (bombs.merged, 30),
        (bombs.aliased, 25),
        (bombs.multiplied, 8),
        (bombs.repeated, 300),
        (bombs.renamed, 100),
        (bombs.directed, 120),
    ],
)
async def test_a_bomb_of_twice_the_size_causes_at_most_twice_the_work(bomb: Callable[[int], str], size: int) -> None:
    """Work is counted in calls of functions, from the text to the refusal."""
    schema = build()
    await _refused(schema, bomb(size - 1))  # what the first call imports and caches is not counted
    half = await _work(schema, bomb(size))
    whole = await _work(schema, bomb(2 * size))
    assert whole < 2.2 * half


async def _work(schema: Schema, query: str) -> int:
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        await _refused(schema, query)
    finally:
        sys.setprofile(before)
    return calls


async def _refused(schema: Schema, query: str) -> None:
    result = await schema.execute(query)
    assert result.data is None
    assert result.errors
