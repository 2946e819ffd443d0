"""Writes a small log in the present format, to be kept with the tests: `python -m tests.store.support.format_sample`.

Later versions must open it. It is written once for each format, by the last version that writes this format.
"""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bson.json_util import CANONICAL_JSON_OPTIONS, dumps, loads

from eventscope.dev.servers import Mongod, run_server
from eventscope.store import incidents
from eventscope.store.catalogue import counting
from eventscope.store.log import Log, open_log, prepare
from eventscope.store.mongo.cursors import fetch_all
from eventscope.store.state import lease
from eventscope.store.state.checkpoint_members import FORMAT
from eventscope.store.values.moment import DAY, HOUR
from eventscope.store.write.retention import Retention
from tests.store.support.appender import Appender, Clock, event, message_group, rejected_message

FOLDER: Final = Path(__file__).parent.parent / "formats"
RETENTION: Final = Retention({"*": 36_500, "user.*": 0})  # what expires does so in a hundred years
TYPES: Final = ("user.created", "user.updated", "user.deleted", "vendor.created", "websocket.connected")
DATA: Final[tuple[Any, ...]] = (
    None,
    {"name": "Ada", "tags": ["a", "b"], "nested": {"deep": [1, 2.5, True, None]}},
    {"large": 2**63 - 1, "small": -(2**63), "float": 1e300},
    {"$ref": "not a reference", "$id": 1},
    {"a.b": 1, "$set": 2, "": 3},
    "text only ✓🦉",
    [],
)


def saved(format: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """The documents of the log of this format, each with the name of its collection."""
    for line in (FOLDER / f"{format}.jsonl").read_text("utf-8").splitlines():
        one = loads(line)
        yield one["collection"], one["document"]


async def fill(log: Log, clock: Clock) -> None:
    """Store a bit of everything that a log may hold."""
    appender = await Appender.of(log)
    appender.retention = RETENTION
    for number in range(35):
        clock.now += (number % 5) * HOUR + (number % 7 == 6) * DAY
        of = None if number % 6 == 5 else (TYPES[number % 5].partition(".")[0], str(number % 4))
        more: dict[str, Any] = {
            "data": DATA[number % 7],
            "userId": f"u{number % 3}",
            "correlationId": f"c{number // 5}",
        }
        if number % 5:
            more["causationId"] = f"m{number - 1}"
        if number % 4 == 1:
            more |= {"metadata": {"ip": "::1", "headers": {"traceparent": "00-1"}}, "extensions": {"shard": number}}
        late = clock.now - 90 * DAY if number % 11 == 10 else None
        await appender.store(
            event(TYPES[number % 5], f"m{number}", of=of, at=late, claimed=number if number % 8 == 1 else None, **more)
        )
    of_new = ("vendor", "new")
    group = message_group(event("vendor.created", "g1", of=of_new), event("vendor.updated", "g2", of=of_new))
    refused = event("user.updated", "conflict", of=("user", "0"), expected=99)
    await appender.store(group, refused, rejected_message(b"{not json"), event("user.created", "m0", data={"other": 1}))
    while await counting.count(log):
        pass
    await incidents.note(log, "an incident")
    await lease.release(log, "first")


async def documents(log: Log, clock: Clock) -> list[str]:
    """Fill the log; all of its documents, as lines of the file."""
    await prepare(log)
    await fill(log, clock)
    return [
        dumps({"collection": name, "document": document}, json_options=CANONICAL_JSON_OPTIONS)
        for name in sorted(await log.mongo.database.list_collection_names())
        for document in await fetch_all(log.mongo.collection(name).find({}).sort("_id", 1))
    ]


def main() -> None:
    """Fill a log on a server of its own, and write the file."""

    async def lines(url: str) -> list[str]:
        clock = Clock()
        async with open_log(url, "sample", clock=clock) as log:
            return await documents(log, clock)

    with tempfile.TemporaryDirectory() as folder, run_server(Mongod, Path(folder)) as server:
        text = "\n".join(asyncio.run(lines(server.url)))
    (FOLDER / f"{FORMAT}.jsonl").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
