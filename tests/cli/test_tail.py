"""`eventscope tail`: the latest events and those that follow, on the terminal or for other programs."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from eventscope.processes.ports import HOST, free
from eventscope.settings import PREFIX, Settings
from tests.support.api_server import RunningApi, running_api

PUBLISH = "mutation ($input: PublishEventInput!) { publishEvent(input: $input) { position } }"


@pytest.fixture
async def api(settings: Settings, ingesting: None) -> AsyncIterator[RunningApi]:
    async with running_api(settings) as api:
        yield api


async def happen(api: RunningApi, type: str = "user.created", **more: Any) -> None:
    await api.ask(PUBLISH, input={"type": type, **more})


@asynccontextmanager
async def tailing(api: RunningApi, *arguments: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command, at that API, for the length of the block."""
    theirs = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "eventscope", "tail", "--api", str(api.http.base_url), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=theirs | environment,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        _, said = await process.communicate()
        assert b"Traceback" not in said, said.decode()


async def line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(30):
        return (await process.stdout.readline()).decode().rstrip("\n")


async def json(process: asyncio.subprocess.Process) -> Any:
    return orjson.loads(await line(process))


async def test_the_newest_events_come_first_and_then_new_ones(api: RunningApi) -> None:
    for n in range(5):
        await happen(api, data={"n": n})
    async with tailing(api, "--json", "-n", "2") as process:
        assert [(await json(process))["data"] for _ in range(2)] == [{"n": 3}, {"n": 4}]
        await happen(api, data={"n": 5})
        assert (await json(process))["data"] == {"n": 5}


async def test_an_empty_log_is_followed_from_its_first_event(api: RunningApi) -> None:
    async with tailing(api, "--json") as process:
        await happen(api)
        assert (await json(process))["position"] == 1


async def test_only_what_is_requested_is_shown(api: RunningApi) -> None:
    ada = {"aggregateType": "user", "aggregateId": "a/1", "userId": "ada", "correlationId": "c"}
    await happen(api, **ada)
    await happen(api, "vendor.created", **ada)
    await happen(api, **ada | {"aggregateId": "2"})
    await happen(api, **ada | {"userId": "bob"})
    await happen(api, **ada | {"correlationId": "d"})
    asked = ("--type", "user.*", "--aggregate", "user/a/1", "--user", "ada", "--correlation", "c")
    async with tailing(api, "--json", *asked) as process:
        assert (await json(process))["position"] == 1
        await happen(api, "other.happened", **ada)
        await happen(api, "user.updated", **ada)
        assert (await json(process))["position"] == 7
    async with tailing(api, "--json", "--aggregate", "user", "--type", "vendor.created", "--type", "x") as process:
        assert (await json(process))["position"] == 2


async def test_it_continues_after_a_cursor(api: RunningApi) -> None:
    for _ in range(3):
        await happen(api)
    async with tailing(api, "--json", "-n", "3") as process:
        first = await json(process)
    async with tailing(api, "--json", "--after", first["cursor"]) as process:
        assert [(await json(process))["position"] for _ in range(2)] == [2, 3]


async def test_for_people_an_event_is_a_line_that_cannot_control_their_terminal(api: RunningApi) -> None:
    await happen(
        api,
        aggregateType="user",
        aggregateId="4\x1b[2J2",
        userId="ada",
        timestamp="2026-11-23T07:00:00Z",
        data={"text": "\x1b[31m" + "x" * 500},
    )
    async with tailing(api) as process:
        shown = await line(process)
    assert shown.startswith('       1 2026-11-23 07:00:00Z user.created user/"4\\u001b[2J2" v1 by ada {"text":')
    assert "\x1b" not in shown
    assert shown.endswith("x…")
    assert len(shown) < 300


async def test_no_field_controls_a_terminal_or_passes_for_another(api: RunningApi) -> None:
    owned = "\x1b]0;owned\x07\x1b[2K\r all is\u202e well\x9b2J"
    ids = {"correlationId": owned, "causationId": owned, "messageId": owned}
    await happen(api, aggregateType=owned, aggregateId=f"1 v7 by eve {owned}", userId=owned, data={owned: owned}, **ids)
    for arguments in ((), ("--json",)):
        async with tailing(api, *arguments) as process:
            shown = await line(process)
        assert "owned" in shown
        assert all(sign.isprintable() for sign in shown)
    async with tailing(api) as process:
        assert '/"1 v7 by eve ' in await line(process)


async def test_a_terminal_that_cannot_encode_emojis_gets_escapes(api: RunningApi) -> None:
    await happen(api, userId="😀", data={"mood": "😀"})
    async with tailing(api, PYTHONIOENCODING="ascii") as process:
        assert (await line(process)).endswith('by \\U0001f600 {"mood":"\\U0001f600"}')
    async with tailing(api, "--json", PYTHONIOENCODING="ascii") as process:
        assert (await json(process))["data"] == {"mood": "😀"}


async def test_this_machine_is_reached_directly_whatever_proxies_are_set(api: RunningApi) -> None:
    await happen(api)
    proxies = dict.fromkeys(("HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"), "socks5://127.0.0.1:9")
    async with tailing(api, "--json", **proxies) as process:
        assert (await json(process))["position"] == 1
        await happen(api)  # by the subscription, too
        assert (await json(process))["position"] == 2


async def test_it_ends_quietly_when_its_reader_leaves_and_on_a_signal(api: RunningApi) -> None:
    await happen(api)
    async with tailing(api, "--json") as process:
        await line(process)
        process.terminate()
        assert await process.wait() == 0
    reading, writing = os.pipe()
    os.close(reading)
    theirs = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "eventscope", "tail", "--api", str(api.http.base_url)),
        stdout=writing,
        stderr=asyncio.subprocess.PIPE,
        env=theirs,
    )
    os.close(writing)
    async with asyncio.timeout(30):
        _, said = await process.communicate()
    assert (process.returncode, said) == (0, b"")


async def test_without_an_api_it_reports_where_it_looked(api: RunningApi) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "eventscope", "tail", "--api", f"http://{HOST}:{free()}"),
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, said = await process.communicate()
    assert (process.returncode, out) == (2, b"")
    assert b"eventscope: " in said
    assert b"Traceback" not in said


@pytest.mark.processes
async def test_if_no_api_is_named_it_reports_which_one_it_follows(tmp_path: Path) -> None:
    theirs = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    port = free()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "eventscope", "tail", "--data-dir", str(tmp_path)),
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=theirs | {f"{PREFIX}PORT": str(port)},
    )
    out, said = await process.communicate()
    assert (process.returncode, out) == (2, b"")
    assert said.decode().splitlines()[0] == (
        f"following http://{HOST}:{port}; no `eventscope dev` is running on {tmp_path}: if there is no API at this"
        " address, start `eventscope dev`, or give --api or --data-dir"
    )
