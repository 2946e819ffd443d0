"""A subscription to all events, what it delivers until it has caught up, and events for it."""

import orjson

from eventscope.store.log import Log
from tests.support.clients.event_stream import Stream
from tests.support.sample_log import fill

FEED = """subscription ($after: String, $from: StartFrom) {
  events(after: $after, from: $from) { __typename ... on Event { id cursor } ... on CaughtUp { cursor } }
}"""


async def store_events(log: Log, *numbers: int) -> None:
    await fill(log, [orjson.dumps({"type": "a.b", "messageId": f"m{n}"}) for n in numbers], {"*": 0})


async def ids_until_caught_up(stream: Stream) -> list[str]:
    """The ids of the events before `CaughtUp`."""
    ids = []
    while (delivery := (await stream.next())["events"])["__typename"] != "CaughtUp":
        ids.append(delivery["id"])
    return ids
