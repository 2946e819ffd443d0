"""Events to be exported, exports of them in this process or as a command, and what is in their files."""

import os
import sys
from pathlib import Path
from typing import Any

import orjson
from nats.aio.client import Client
from rich.console import Console

from eventscope.client.filters import FilterArgs
from eventscope.exporters.run import export_events, format_of
from eventscope.settings import PREFIX, Settings
from tests.support.api_server import RunningApi

STATE = "query { stats { totalEvents } rejectedEvents { nodes { code } } }"
MESSAGES: list[dict[str, Any]] = [
    {"type": "user.created", "aggregateType": "user", "aggregateId": "1", "version": 7, "userId": "ada"},
    {"type": "user.updated", "aggregateType": "user", "aggregateId": "1", "data": {"n": [2**63 - 1, 1.0, 5e-324]}},
    {"type": "order.placed", "aggregateType": "order", "aggregateId": "1", "correlationId": "c", "causationId": "x"},
    {"type": "order.paid", "metadata": {"why": "=1+1"}, "region": "eu", "position": 9},
]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


async def publish(client: Client, settings: Settings, messages: list[dict[str, Any]], **headers: str) -> None:
    """Publish the messages, each on the subject of its type, with these headers."""
    for message in messages:
        subject = settings.subjects[0].replace(">", message["type"])
        await client.jetstream().publish(subject, orjson.dumps(message), headers=headers or None)


async def has(api: RunningApi, count: int) -> bool:
    """Whether the log has this many events."""
    return bool((await api.ask(STATE))["stats"]["totalEvents"] == count)


async def export(api: RunningApi, out: Path, screen: Console, types: list[str] | None = None) -> int:
    """Export the events of these types, or all, to the file; returns how many there were."""
    filter_args, format = FilterArgs(event_types=types), format_of(str(out), None)
    return (await export_events(str(api.http.base_url), str(out), format, filter_args, console=screen)).count


def command(api: RunningApi, *arguments: str) -> list[str]:
    """The command line of an export with these arguments; it runs with `ENVIRONMENT`."""
    return [sys.executable, "-m", "eventscope", "export", "--api", str(api.http.base_url), *arguments]


def names(folder: Path) -> list[str]:
    """The names of the files in the folder."""
    return sorted(path.name for path in folder.iterdir())


def lines(file: Path) -> list[dict[str, Any]]:
    """The lines of a file in JSON lines."""
    return [orjson.loads(line) for line in file.read_bytes().splitlines()]
