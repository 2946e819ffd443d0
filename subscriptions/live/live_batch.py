"""Live batches: what the ingester sends to every API process after each commit, as text on a NATS subject. No I/O.

A batch names the head before and after it, so that a receiver sees any hole and fills it from the log. The head alone,
sent every second, shows a lost tail. Each message is sealed, for others may publish there too; the seal has the name of
the log, which shows when another has taken its place.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, cast

import orjson

from eventscope.store.values.documents import EventDocument
from eventscope.subscriptions.live.seal import Seal

HEARTBEAT_SECONDS: Final = 1.0
FRAME: Final = 320  # bytes that are enough for all of a message but its events


@dataclass(frozen=True, slots=True)
class LiveBatch:
    """Events on positions above `previous`, up to `head`. A heartbeat has none, and both are the same."""

    previous: int
    head: int
    events: tuple[EventDocument, ...] = ()
    size: int = field(default=0, compare=False)
    """Bytes of the message that it came in."""
    log: str | None = field(default=None, compare=False)
    """The name of the log; None where an older version began it."""
    order: tuple[int, int] = field(default=(0, 0), compare=False)
    """The term and the number in it: higher than those of all messages before."""


def subject(stream: str) -> str:
    """The subject on which the batches of that stream's log go round."""
    return f"eventscope.live.{stream}"


def encode(previous: int, events: Sequence[EventDocument], most_bytes: int, seal: Seal) -> Iterator[bytes]:
    """The batch in as many sealed messages as the size limit of the server asks for.

    An event that is too large for any is left out; the hole that this leaves makes receivers read it from the log.
    """
    start, position, texts, size = previous, previous, list[bytes](), 0
    for event in events:
        text = orjson.dumps(event)
        if len(text) + FRAME > most_bytes:
            yield from _message(start, position, texts, seal)
            start, position, texts, size = event["_id"], event["_id"], [], 0
            continue
        if texts and size + len(text) + FRAME > most_bytes:
            yield from _message(start, position, texts, seal)
            start, texts, size = position, [], 0
        texts.append(text)
        size += len(text) + 1
        position = event["_id"]
    if texts:
        yield from _message(start, position, texts, seal)
    else:
        yield heartbeat(position, seal)


def heartbeat(head: int, seal: Seal) -> bytes:
    """The message that tells the head and nothing else."""
    return seal.on(b'"previous":%d,"head":%d,"events":[]' % (head, head))


def decode(raw: bytes) -> LiveBatch:
    """The inverse of `encode`, for one message, whoever sealed it."""
    batch = orjson.loads(raw)
    events: list[EventDocument] = batch["events"]
    for event in events:
        if "expireAt" in event:
            event["expireAt"] = datetime.fromisoformat(cast("str", event["expireAt"]))
    order = batch["term"], batch["number"]
    return LiveBatch(batch["previous"], batch["head"], tuple(events), len(raw), batch["log"], order)


def _message(previous: int, head: int, texts: list[bytes], seal: Seal) -> Iterator[bytes]:
    if texts:
        yield seal.on(b'"previous":%d,"head":%d,"events":[%b]' % (previous, head, b",".join(texts)))
