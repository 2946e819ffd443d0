"""Fetching one message of a stream by itself, whatever bytes others have published as its subject and headers.

JetStream's API answers in JSON, in which such bytes do no harm; nats-py's own `get_msg` reads less of them.
"""

import base64
from typing import Any, Final

import nats.errors
import orjson
from nats.aio.client import Client
from nats.js.errors import APIError

from eventscope.store.values import moment
from eventscope.store.values.message import Arrival
from eventscope.subscriptions.nats.client import NonTextSubject, api
from eventscope.subscriptions.nats.header_block import parse
from eventscope.subscriptions.nats.stream import unavailable

REPLACEMENT: Final = "\ufffd"
NO_MESSAGE: Final = 10037  # JetStream's code
SECONDS: Final = 5.0


async def message_at(client: Client, stream: str, sequence: int) -> Arrival | None:
    """The message at that sequence; None when the stream does not have it (any more). Raises Unavailable, APIError."""
    return await _get(client, stream, {"seq": sequence})


async def messages_after(client: Client, stream: str, sequence: int, most: int) -> list[Arrival]:
    """The first messages after that sequence, each fetched by itself. Raises Unavailable, APIError."""
    found: list[Arrival] = []
    while len(found) < most:
        arrival = await _get(client, stream, {"seq": sequence + 1, "next_by_subj": ">"})
        if arrival is None:
            break
        found.append(arrival)
        sequence = arrival.sequence
    return found


async def _get(client: Client, stream: str, request: dict[str, Any]) -> Arrival | None:
    try:
        reply = await client.request(api(client, f"STREAM.MSG.GET.{stream}"), orjson.dumps(request), timeout=SECONDS)
    except (nats.errors.Error, OSError) as error:
        raise unavailable(error, client) from error
    answer = orjson.loads(reply.data)
    refusal = answer.get("error")
    if refusal is not None:
        if refusal.get("err_code") == NO_MESSAGE:
            return None
        raise APIError.from_error(refusal)
    found = answer["message"]
    subject = found["subject"]
    return Arrival(
        # here the server itself puts U+FFFD for bytes that are no UTF-8, so that one which was sent looks the same
        NonTextSubject(subject) if REPLACEMENT in subject else subject,
        parse(base64.b64decode(found.get("hdrs", ""))),
        base64.b64decode(found.get("data", "")),
        found["seq"],
        moment.from_text(found["time"]),
    )
