"""Every example of docs/live.md runs, and gets exactly the remaining events after the server was killed."""

import asyncio
import json
import re
import shutil
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import orjson
import pytest
from nats.aio.client import Client

from eventscope.processes.guard import guard_command, lifeline
from eventscope.processes.ports import free
from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.store.state import checkpoint
from tests.support import processes
from tests.support.requirements import leave_out
from tests.support.sample_log import fill, name_log
from tests.support.until import until

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/live.md").read_text()
BROWSER, STREAM = re.findall(r"```js\n(.*?)```", PAGE, re.DOTALL)
[PYTHON] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
[CURL] = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
[ANSWER] = re.findall(r"```\n(:\n.*?)```", PAGE, re.DOTALL)
EXAMPLE = "127.0.0.1:8000"
# what a browser provides, and what the example expects of its page
PAGE_OF_EXAMPLE = """
const kept = { cursor: process.env.KEPT };
globalThis.localStorage = { getItem: (name) => kept[name] ?? null, setItem: (name, text) => { kept[name] = text; } };
globalThis.show = (item) => console.log(JSON.stringify(item.data));
console.error = () => {};
"""
PROGRAM_OF_EXAMPLE = """
import os
async def handle(item):
    print(item["data"], flush=True)
asyncio.run(follow(handle, os.environ.get("KEPT")))
"""


def in_browser(code: str) -> list[str | Path]:
    """A command that runs the example as in a browser."""
    node = shutil.which("node")
    if node is None or not (ROOT / "web/node_modules/graphql-sse").exists():
        leave_out("the examples for browsers need Node and what `make web` installs")
    # Node has the browsers' WebSocket, up to version 21 only with this option
    return [node, "--experimental-websocket", "--no-warnings", "--input-type=module", "--eval", PAGE_OF_EXAMPLE + code]


def in_python(code: str) -> list[str | Path]:
    """A command that runs the example as a program."""
    return [sys.executable, "-c", code + PROGRAM_OF_EXAMPLE]


@asynccontextmanager
async def started(command: list[str | Path]) -> AsyncIterator[tuple[Process, list[object]]]:
    """A process of the example, and the data of the events that it has handled."""
    process = await asyncio.create_subprocess_exec(
        *guard_command(command), stdin=lifeline(), stdout=PIPE, cwd=ROOT / "web", stderr=asyncio.subprocess.DEVNULL
    )
    handled: list[object] = []

    async def listen() -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            with suppress(ValueError):  # the example also prints why it continues
                handled.append(json.loads(line))

    listening = asyncio.create_task(listen())
    try:
        yield process, handled
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await listening


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Process]:
    """An API that is ready, in a process of its own; it is killed at the end of the block."""
    async with (
        processes.eventscope_process(settings, "serve", "--no-ingest") as process,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings.port}", timeout=60.0) as http,
    ):

        async def up() -> bool:
            with suppress(httpx.TransportError):
                return (await http.get("/healthz")).status_code == 200
            return False

        await until(up)
        yield process


EXAMPLES = pytest.mark.parametrize(
    ("command", "code"), [(in_browser, BROWSER), (in_browser, STREAM), (in_python, PYTHON)], ids=["ws", "sse", "gql"]
)


@EXAMPLES
async def test_a_client_whose_server_is_killed_gets_exactly_the_rest_from_the_next_one(
    settings: Settings, log: Log, client: Client, subject_prefix: str, ingesting: None, command: object, code: str
) -> None:
    settings = settings.model_copy(update={"port": free()})
    assert callable(command)
    program = command(code.replace(EXAMPLE, f"127.0.0.1:{settings.port}"))

    async def publish(numbers: range) -> None:
        for n in numbers:
            await client.publish(f"{subject_prefix}.a.b", orjson.dumps({"data": n}))

        async def there() -> bool:
            return (await checkpoint.read(log)).head == numbers.stop

        await until(there)

    async def follows(port: int) -> bool:
        """Whether anybody subscribes through the API."""
        async with httpx.AsyncClient() as http:
            query = {"query": "{ log { subscriptions { count } } }"}
            answer = await http.post(f"http://127.0.0.1:{port}/graphql", json=query)
        return bool(answer.json()["data"]["log"]["subscriptions"]["count"])

    async with started(program) as (process, handled):
        async with serving(settings) as api:  # the client was there first, and waits for it
            await until(lambda: follows(settings.port))
            await publish(range(10))
            await until(lambda: len(handled) == 10)
            api.kill()
            await api.wait()
        await publish(range(10, 30))
        for batch in (range(30, 35), range(35, 40)):
            async with serving(settings) as api:
                await until(lambda batch=batch: len(handled) == batch.start)  # type: ignore[misc]  # it is the batch
                await publish(batch)
                await until(lambda batch=batch: len(handled) == batch.stop)  # type: ignore[misc]  # as above
                api.kill()
                await api.wait()
        assert process.returncode is None
    assert handled == list(range(40))


@EXAMPLES
async def test_a_client_with_a_cursor_of_another_log_tries_once_and_stops(
    settings: Settings, log: Log, client: Client, monkeypatch: pytest.MonkeyPatch, command: object, code: str
) -> None:
    settings = settings.model_copy(update={"port": free()})
    await fill(log, [orjson.dumps({"type": "a.b"})] * 3, {"*": 0})
    monkeypatch.setenv("KEPT", "e1.another")
    assert callable(command)
    program = command(code.replace(EXAMPLE, f"127.0.0.1:{settings.port}"))
    async with serving(settings), started(program) as (process, handled):
        async with asyncio.timeout(60):
            await process.wait()
        async with httpx.AsyncClient() as http:
            metrics = (await http.get(f"http://127.0.0.1:{settings.port}/metrics")).text
    assert handled == []
    [asked] = [line for line in metrics.splitlines() if 'code="WRONG_LOG"' in line and "_total" in line]
    assert asked.endswith(" 1.0")


async def test_the_answer_to_curl_is_the_one_that_is_shown(settings: Settings, log: Log, client: Client) -> None:
    if shutil.which("curl") is None:
        leave_out("there is no curl on this machine")
    settings = settings.model_copy(update={"port": free()})
    await name_log(log, "4f09ac5b1e7d4a0c8b2f6d3e9a1c5b70")
    await fill(log, [orjson.dumps({"type": f"user.{what}"}) for what in ("created", "updated", "deleted")], {"*": 0})
    async with serving(settings):
        command = CURL.replace(EXAMPLE, f"127.0.0.1:{settings.port}").replace("curl ", "curl --silent ")
        run = await asyncio.create_subprocess_shell(command, stdout=PIPE)
        said, _ = await run.communicate()
    assert said.decode() == ANSWER


def test_the_examples_for_browsers_have_at_most_twenty_lines() -> None:
    assert max(len(BROWSER.splitlines()), len(STREAM.splitlines())) <= 20
