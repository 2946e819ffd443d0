"""The events of the ingest benchmarks: the same for the whole path, for the floor and for every peer."""

from pathlib import Path
from typing import Any, Final

import orjson

AGGREGATES: Final = 5000


def message(number: int) -> dict[str, Any]:
    """An event of ordinary size, about 350 bytes."""
    return {
        "type": ("user.updated", "user.location.updated", "vendor.updated")[number % 3],
        "messageId": f"m{number}",
        "aggregateType": ("user", "user", "vendor")[number % 3],
        "aggregateId": str(number % AGGREGATES),
        "userId": str(number % 97),
        "correlationId": f"c{number // 10}",
        "data": {"number": number, "name": "Ada Lovelace", "email": "ada@example.com", "tags": ["a", "b"]},
        "metadata": {"reason": "benchmark", "source": "web", "ip": "192.0.2.1"},
    }


def payload(number: int) -> bytes:
    """The same event as it is published."""
    return orjson.dumps(message(number))


def write(file: Path, count: int) -> None:
    """Write `count` events as JSON lines, for the programs of the peers."""
    with file.open("wb") as lines:
        for number in range(count):
            lines.write(payload(number) + b"\n")
