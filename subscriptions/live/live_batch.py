"""Live batches: what the ingester sends to every API process after each commit, as text on a NATS subject. No I/O.

A batch names the head before and after it, so that a receiver sees any hole and fills it from the log. A heartbeat, the
head alone, shows each second whether the last batches were lost. Messages are sealed, since others may publish there
too; the seal contains the name of the log, which shows when another log has replaced it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, cast

import orjson

from eventscope.store.values.documents import EventDocument
from eventscope.subscriptions.live.seal import Seal

HEARTBEAT_SECONDS: Final = 1.0
FRAME: Final = 320  # bytes that suffice for everything in a message but its events


@dataclass(frozen=True, slots=True)
class LiveBatch:
    """Events on positions above `previous`, up to `head`. A heartbeat has no events and equal heads."""

    previous: int
    head: int
    events: tuple[EventDocument, ...] = ()
    size: int = field(default=0, compare=False)
    """Bytes of the message."""
    log: str | None = field(default=None, compare=False)
    """The name of the log; None if an older version created it."""
    order: tuple[int, int] = field(default=(0, 0), compare=False)
    """The term and the number within it: higher than in all earlier messages."""


def subject(stream: str) -> str:
    """The subject on which the batches of that stream's log are broadcast."""
    return f"eventscope.live.{stream}"


def encode(previous: int, events: Sequence[EventDocument], most_bytes: int, seal: Seal) -> Iterator[bytes]:
    """The batch, in as many sealed messages as the size limit of the server requires.

    An event that is too large for any message is left out; the hole makes receivers read it from the log.
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
    """The message that contains the head and nothing else."""
    return seal.on(b'"previous":%d,"head":%d,"events":[]' % (head, head))


def decode(raw: bytes) -> LiveBatch:
    """The inverse of `encode`, for one message; the seal is not checked. ValueError, KeyError or TypeError."""
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
