"""Fetching single messages of a stream, whatever bytes their subjects and headers have.

JetStream's API answers in JSON, in which such bytes do no harm; nats-py's own `get_msg` cannot parse all of them.
"""

import base64
from typing import Any, Final

import nats.errors
import orjson
from nats.aio.client import Client
from nats.js.errors import APIError

from eventscope.store.values import moment
from eventscope.store.values.message import Arrival
from eventscope.subscriptions.nats.client import NonTextSubject, api_subject
from eventscope.subscriptions.nats.header_block import parse
from eventscope.subscriptions.nats.stream import unavailable

REPLACEMENT: Final = "\ufffd"
NO_MESSAGE: Final = 10037  # JetStream's code
SECONDS: Final = 5.0


async def message_at(client: Client, stream: str, sequence: int) -> Arrival | None:
    """The message at that sequence; None if the stream does not have it. Raises Unavailable, APIError."""
    return await _get(client, stream, {"seq": sequence})


async def messages_after(client: Client, stream: str, sequence: int, most: int) -> list[Arrival]:
    """At most `most` messages after that sequence, fetched one by one. Raises Unavailable, APIError."""
    arrivals: list[Arrival] = []
    while len(arrivals) < most:
        arrival = await _get(client, stream, {"seq": sequence + 1, "next_by_subj": ">"})
        if arrival is None:
            break
        arrivals.append(arrival)
        sequence = arrival.sequence
    return arrivals


async def _get(client: Client, stream: str, request: dict[str, Any]) -> Arrival | None:
    try:
        reply = await client.request(
            api_subject(client, f"STREAM.MSG.GET.{stream}"), orjson.dumps(request), timeout=SECONDS
        )
    except (nats.errors.Error, OSError) as error:
        raise unavailable(error, client) from error
    answer = orjson.loads(reply.data)
    fault = answer.get("error")
    if fault is not None:
        if fault.get("err_code") == NO_MESSAGE:
            return None
        raise APIError.from_error(fault)
    message = answer["message"]
    subject = message["subject"]
    return Arrival(
        # the server itself writes U+FFFD for bytes that are not UTF-8, so a U+FFFD that was sent looks the same
        NonTextSubject(subject) if REPLACEMENT in subject else subject,
        parse(base64.b64decode(message.get("hdrs", ""))),
        base64.b64decode(message.get("data", "")),
        message["seq"],
        moment.from_text(message["time"]),
    )
