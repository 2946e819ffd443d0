"""The TypeScript of docs/migrating.md runs unchanged, and the log has what the page says."""

import asyncio
import json
import os
import re
import shutil
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats
import pytest

from eventscope.settings import Settings
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from eventscope.store.rejected import messages
from eventscope.store.values.documents import EventDocument
from eventscope.subscriptions.nats import stream
from tests.support.ingesters import ingester, wait_for_events
from tests.support.killable_servers import killable_nats
from tests.support.requirements import leave_out

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/migrating.md").read_text()
FILES = {block.split()[1]: block for block in re.findall(r"```ts\n(// .*?)```", PAGE, re.DOTALL)}
MODULES = ROOT / "web/node_modules"
ADDRESS = "nats://127.0.0.1:4222"
TWICE = """
import { connect } from "nats";
import { publishDurably } from "./durable-events.service";
async function main() {
  const nc = await connect({ servers: "nats://127.0.0.1:4222" });
  for (const attempt of [1, 2]) await publishDurably(nc.jetstream(), "user.created", { messageId: "m1" });
  await nc.drain();
}
void main();
"""
DECIDING = """
import { connect } from "nats";
import { publishExpecting } from "./decide";
async function main() {
  const nc = await connect({ servers: "nats://127.0.0.1:4222" });
  for (const name of ["Ada", "Grace"]) {
    const user = { aggregateType: "user", aggregateId: "42", data: { name } };
    console.log(JSON.stringify(await publishExpecting(nc, 0, "user.created", user)));
  }
  await nc.drain();
}
void main();
"""


@dataclass(frozen=True, slots=True)
class Place:
    """The files of the page, with the address of a NATS server in them, and the log that reads from that server."""

    folder: Path
    log: Log

    async def run(self, name: str) -> list[str]:
        """The lines that the program prints; it must exit with 0."""
        bundle = self.folder / f"{name}.js"
        options = ("--bundle", "--platform=node", "--log-level=warning", f"--outfile={bundle}")
        await self._done(MODULES / ".bin/esbuild", self.folder / name, *options)
        return (await self._done(str(shutil.which("node")), bundle)).splitlines()

    async def _done(self, *command: str | Path) -> str:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=PIPE, env=os.environ | {"NODE_PATH": str(MODULES)}
        )
        said, _ = await process.communicate()
        assert process.returncode == 0
        return said.decode()


@pytest.fixture
async def place(settings: Settings, log: Log, tmp_path: Path) -> AsyncIterator[Place]:
    """Servers with the default settings, and the files of the page with their address."""
    if shutil.which("node") is None or not (MODULES / "esbuild").exists():
        leave_out("the examples in TypeScript need Node and what `make web` installs")
    async with killable_nats(tmp_path) as server:
        settings = Settings(mongo_url=settings.mongo_url, mongo_database=settings.mongo_database, nats_url=server.url)
        client = await nats.connect(server.url)
        await stream.ensure(client.jetstream(), settings.stream, settings.subjects)
        await client.close()
        folder = tmp_path / "examples"
        folder.mkdir()
        for name, code in (FILES | {"twice.ts": TWICE, "deciding.ts": DECIDING}).items():
            (folder / name).write_text(code.replace(ADDRESS, server.url))
        async with ingester(settings):
            yield Place(folder, log)


def versions(events: list[EventDocument], type: str) -> list[tuple[int | None, int | None]]:
    """The versions of an aggregate type: those that the log assigned, and what was claimed instead."""
    return [(e.get("version"), e.get("claimedVersion")) for e in events if e.get("aggregateType") == type]


async def test_the_class_works_unchanged_although_its_counter_restarts_with_the_process(place: Place) -> None:
    for _ in range(2):
        await place.run("backend.ts")
    events = list(await wait_for_events(place.log, 8))
    assert await messages.numbers(place.log) == []
    assert versions(events, "user") == [(1, None), (2, None), (3, 1), (4, 2)]
    assert versions(events, "vendor") == [(1, None), (2, 1)]
    sessions = [event for event in events if event["type"] == "websocket.user.connected"]
    assert [("version" in event, event["claimedVersion"], event["userId"]) for event in sessions] == [
        (False, 1, "42"),
        (False, 1, "42"),
    ]
    assert len({event["correlationId"] for event in events}) == 8
    assert {"extensions"} & set().union(*events) == set()


async def test_an_event_that_is_sent_again_with_its_id_is_stored_once(place: Place) -> None:
    await place.run("twice.ts")
    [event] = await wait_for_events(place.log, 1)
    assert (event["messageId"], event["type"]) == ("m1", "user.created")


async def test_a_publisher_that_expects_a_version_learns_whether_it_was_right(place: Place) -> None:
    won, lost = map(json.loads, await place.run("deciding.ts"))
    assert (won["position"], won["version"]) == (1, 1)
    assert (lost["code"], lost["actualVersion"]) == ("VERSION_CONFLICT", 1)
    [event] = await pages.events(place.log, EVERYTHING, limit=10)
    assert event["data"] == {"name": "Ada"}


async def test_a_new_service_publishes_with_thirty_lines(place: Place) -> None:
    await place.run("orders.ts")
    placed, paid = await wait_for_events(place.log, 2)
    assert versions([placed, paid], "order") == [(1, None), (2, None)]
    assert (paid["causationId"], paid["correlationId"]) == (placed["messageId"], "checkout-9")
    assert placed["data"] == {"total": 129.95}
    assert len(FILES["publish.ts"].splitlines()) <= 30


def test_every_example_in_typescript_is_a_file_that_the_tests_run() -> None:
    assert PAGE.count("```ts\n") == len(FILES)
    programs: dict[str, Any] = {"backend.ts": 0, "twice.ts": 0, "deciding.ts": 0, "orders.ts": 0}
    code = [*(FILES.get(name, "") for name in programs), TWICE, DECIDING]
    imported = {f"{name}.ts" for text in code for name in re.findall(r'from "\./(.*?)"', text)}
    assert FILES.keys() <= programs.keys() | imported
