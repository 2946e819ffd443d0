"""What clients with a cache make of the API: the npm packages that people have, set up as docs/caches.md says."""

import asyncio
import json
import re
import shutil
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from graphql import GraphQLObjectType, build_schema, is_abstract_type
from nats.aio.client import Client

from eventscope.settings import Settings
from eventscope.store.log import Log
from tests.support.api_server import RunningApi, running_api
from tests.support.requirements import leave_out
from tests.support.sample_log import fill

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
PAGE = (ROOT / "docs/caches.md").read_text()
APOLLO, URQL, RELAY, HISTORY = re.findall(r"```js\n(.*?)```", PAGE, re.DOTALL)
SECONDS = 30.0
EXAMPLE = "127.0.0.1:8000"
ARTIFACT = """
import { createRequire } from "node:module";
const artifact = (name) => createRequire(process.argv[1])(`./__generated__/${name}.graphql.js`);
"""
MESSAGES = [
    *({"messageId": f"{n}", "type": "user.changed", "aggregateType": "user", "aggregateId": "42"} for n in range(5)),
    {"messageId": "42", "type": "order.placed", "aggregateType": "order", "aggregateId": "42", "correlationId": "t"},
    {"messageId": "aggregate:order/42", "type": "day.closed"},
]


@pytest.fixture
async def api(settings: Settings, log: Log, client: Client) -> AsyncIterator[RunningApi]:
    """An API over a log in which several things are called 42."""
    if shutil.which("node") is None or not MODULES.exists():
        leave_out("the npm clients need Node and what `make clients` installs")
    await fill(log, [b"no json", *map(orjson.dumps, MESSAGES)], {"*": 0})
    async with running_api(settings) as api:
        yield api


async def run(api: RunningApi, example: str, name: str, *arguments: str | Path) -> Any:
    """What the script says of the client that the example makes for this API."""
    script = example.replace(EXAMPLE, api.http.base_url.netloc.decode()) + (HERE / f"{name}.mjs").read_text()
    # Node has WebSocket as browsers do, up to version 21 only when asked for
    options = ("--experimental-websocket", "--no-warnings", "--input-type=module", "--eval", script)
    return json.loads(await done(HERE, "node", *options, *arguments))


async def done(folder: Path, *command: str | Path) -> str:
    """What the command says there; it ends well."""
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=PIPE, stderr=PIPE)
    try:
        async with asyncio.timeout(SECONDS):  # a client that is mixed up may ask for ever
            said, complaints = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, (said + complaints).decode()
    return said.decode()


def without_types(value: Any) -> Any:
    """The value without what clients add to know the types."""
    if isinstance(value, list):
        return [without_types(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {name: without_types(one) for name, one in value.items() if not name.startswith("__")}


def check_that_nothing_was_mixed_up(said: Any) -> None:
    answered = without_types(said["answered"])
    assert (answered["user"]["type"], answered["user"]["lastEventType"]) == ("user", "user.changed")
    assert (answered["order"]["type"], answered["order"]["lastEventType"]) == ("order", "order.placed")
    assert answered["user"]["aggregateId"] == answered["order"]["aggregateId"] == answered["event"]["messageId"] == "42"
    assert answered["event"]["aggregate"] == {"id": "aggregate:order/42", "type": "order"}
    for time in ("kept", "keptAfterLists", "keptAfterAll"):
        assert without_types(said[time]) == answered
    assert without_types(said["keptLists"]) == without_types(said["lists"])
    assert [one["id"] for one in said["lists"]["aggregates"]["nodes"]] == ["aggregate:order/42", "aggregate:user/42"]
    assert said["pages"] == ["0", "1", "2", "3", "4"]
    ids = [message["messageId"] for message in MESSAGES[:-1]] + ["event:aggregate:order/42"]
    *events, end = said["followed"]
    assert [event["id"] for event in events] == ids
    assert events[0]["aggregate"]["id"] == "aggregate:user/42"
    assert end["cursor"].startswith("e7")
    assert not said["warnings"], "\n".join(said["warnings"])


async def test_apollo_client_keeps_things_apart_and_puts_pages_together(api: RunningApi) -> None:
    said = await run(api, APOLLO, "apollo")
    check_that_nothing_was_mixed_up(said)
    assert {"Aggregate:aggregate:user/42", "Aggregate:aggregate:order/42", "Event:42"} <= set(said["objects"])
    assert said["log"]["log"]["rejected"] == 1
    assert without_types(said["stats"]) == {"stats": {"totalEvents": 7, "eventTypes": 3}}


async def test_urql_keeps_things_apart_and_puts_pages_together(api: RunningApi) -> None:
    said = await run(api, URQL, "urql")
    check_that_nothing_was_mixed_up(said)
    assert without_types(said["stats"]) == {"stats": {"totalEvents": 7, "eventTypes": 3}}


async def test_relay_compiles_the_schema_keeps_things_apart_and_asks_for_pages_of_a_fragment(
    api: RunningApi, tmp_path: Path
) -> None:
    for name, text in {
        "src/relay.js": (HERE / "relay.js").read_text(),
        "src/History.js": HISTORY,
        "schema.graphql": (ROOT / "schema/schema.graphql").read_text(),
        "relay.config.json": json.dumps(
            {"src": "src", "schema": "schema.graphql", "language": "javascript", "eagerEsModules": False}
        ),
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    await done(tmp_path, "node", MODULES / "relay-compiler/cli.js")
    said = await run(api, RELAY + ARTIFACT, "relay", tmp_path / "src/relay.js")
    check_that_nothing_was_mixed_up(said)
    assert {"42", "aggregate:user/42", "aggregate:order/42", "type:user.changed", "rejected:1"} <= set(said["ids"])


def test_the_example_for_urql_names_every_type_without_an_id() -> None:
    types = build_schema((ROOT / "schema/schema.graphql").read_text()).type_map.values()
    without = {
        type.name
        for type in types
        if isinstance(type, GraphQLObjectType)
        and "id" not in type.fields
        and not type.name.startswith("__")
        and not type.name.endswith(("Connection", "Edge", "PageInfo"))
        and type.name not in ("Query", "Mutation", "Subscription")
    }
    [named] = re.findall(r"const withoutId = (\[.*?\]);", URQL, re.DOTALL)
    assert set(json.loads(named)) == without


def test_the_example_for_apollo_client_names_every_member_of_interfaces_and_unions() -> None:
    schema = build_schema((ROOT / "schema/schema.graphql").read_text())
    for name, members in re.findall(r"(Node|EventFeed): (\[.*?\])", APOLLO):
        type = schema.type_map[name]
        assert is_abstract_type(type)
        assert set(json.loads(members)) == {one.name for one in schema.get_possible_types(type)}
    assert {name for name, type in schema.type_map.items() if is_abstract_type(type)} == {"Node", "EventFeed"}
