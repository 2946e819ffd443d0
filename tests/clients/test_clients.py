"""Clients with a cache use the API correctly: the usual npm packages, set up as docs/caches.md says."""

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
    """An API over a log in which several objects have the id 42."""
    if shutil.which("node") is None or not MODULES.exists():
        leave_out("the npm clients need Node and what `make clients` installs")
    await fill(log, [b"no json", *map(orjson.dumps, MESSAGES)], {"*": 0})
    async with running_api(settings) as api:
        yield api


async def run(api: RunningApi, example: str, name: str, *arguments: str | Path) -> Any:
    """What the script reports about the client that the example creates for this API."""
    script = example.replace(EXAMPLE, api.http.base_url.netloc.decode()) + (HERE / f"{name}.mjs").read_text()
    # Node has the browsers' WebSocket, up to version 21 only with this option
    options = ("--experimental-websocket", "--no-warnings", "--input-type=module", "--eval", script)
    return json.loads(await output(HERE, "node", *options, *arguments))


async def output(folder: Path, *command: str | Path) -> str:
    """The output of the command in that folder; fails unless it exits with 0."""
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=PIPE, stderr=PIPE)
    try:
        async with asyncio.timeout(SECONDS):  # a confused client may send requests for ever
            stdout, stderr = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, (stdout + stderr).decode()
    return stdout.decode()


def without_types(value: Any) -> Any:
    """The value without the type names that clients add."""
    if isinstance(value, list):
        return [without_types(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {name: without_types(one) for name, one in value.items() if not name.startswith("__")}


def check_that_objects_are_kept_apart(report: Any) -> None:
    answer = without_types(report["answer"])
    assert (answer["user"]["type"], answer["user"]["lastEventType"]) == ("user", "user.changed")
    assert (answer["order"]["type"], answer["order"]["lastEventType"]) == ("order", "order.placed")
    assert answer["user"]["aggregateId"] == answer["order"]["aggregateId"] == answer["event"]["messageId"] == "42"
    assert answer["event"]["aggregate"] == {"id": "aggregate:order/42", "type": "order"}
    for time in ("cached", "cachedAfterLists", "cachedAfterAll"):
        assert without_types(report[time]) == answer
    assert without_types(report["cachedLists"]) == without_types(report["lists"])
    assert [one["id"] for one in report["lists"]["aggregates"]["nodes"]] == ["aggregate:order/42", "aggregate:user/42"]
    assert report["pages"] == ["0", "1", "2", "3", "4"]
    ids = [message["messageId"] for message in MESSAGES[:-1]] + ["event:aggregate:order/42"]
    *events, end = report["deliveries"]
    assert [event["id"] for event in events] == ids
    assert events[0]["aggregate"]["id"] == "aggregate:user/42"
    assert end["cursor"].startswith("e7")
    assert not report["warnings"], "\n".join(report["warnings"])


async def test_apollo_client_distinguishes_objects_and_joins_pages(api: RunningApi) -> None:
    report = await run(api, APOLLO, "apollo")
    check_that_objects_are_kept_apart(report)
    assert {"Aggregate:aggregate:user/42", "Aggregate:aggregate:order/42", "Event:42"} <= set(report["objects"])
    assert report["log"]["log"]["rejected"] == 1
    assert without_types(report["stats"]) == {"stats": {"totalEvents": 7, "eventTypes": 3}}


async def test_urql_distinguishes_objects_and_joins_pages(api: RunningApi) -> None:
    report = await run(api, URQL, "urql")
    check_that_objects_are_kept_apart(report)
    assert without_types(report["stats"]) == {"stats": {"totalEvents": 7, "eventTypes": 3}}


async def test_relay_compiles_the_schema_distinguishes_objects_and_loads_pages_of_a_fragment(
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
    await output(tmp_path, "node", MODULES / "relay-compiler/cli.js")
    report = await run(api, RELAY + ARTIFACT, "relay", tmp_path / "src/relay.js")
    check_that_objects_are_kept_apart(report)
    assert {"42", "aggregate:user/42", "aggregate:order/42", "type:user.changed", "rejected:1"} <= set(report["ids"])


def test_the_example_for_urql_names_every_type_without_an_id() -> None:
    types = build_schema((ROOT / "schema/schema.graphql").read_text()).type_map.values()
    expected = {
        type.name
        for type in types
        if isinstance(type, GraphQLObjectType)
        and "id" not in type.fields
        and not type.name.startswith("__")
        and not type.name.endswith(("Connection", "Edge", "PageInfo"))
        and type.name not in ("Query", "Mutation", "Subscription")
    }
    [listed] = re.findall(r"const withoutId = (\[.*?\]);", URQL, re.DOTALL)
    assert set(json.loads(listed)) == expected


def test_the_example_for_apollo_client_names_every_member_of_interfaces_and_unions() -> None:
    schema = build_schema((ROOT / "schema/schema.graphql").read_text())
    for name, members in re.findall(r"(Node|EventFeed): (\[.*?\])", APOLLO):
        type = schema.type_map[name]
        assert is_abstract_type(type)
        assert set(json.loads(members)) == {one.name for one in schema.get_possible_types(type)}
    assert {name for name, type in schema.type_map.items() if is_abstract_type(type)} == {"Node", "EventFeed"}
