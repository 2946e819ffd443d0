"""Durable consumers of the stream: what others still have to read, and which of them are idle."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig
from nats.js.errors import NotFoundError

from eventscope.store.values import moment

PAGE: Final = 256  # consumers in one answer of JetStream's
NOTHING: Final = 2**63  # a sequence that no message has
IDLE_HOURS: Final = 1.0  # after which a consumer counts as forgotten


@dataclass(frozen=True, slots=True)
class Holder:
    """A durable consumer, for which messages from sequence `next` on stay in the stream."""

    name: str
    next: int
    active: int
    """When it last read or acknowledged a message, or was created, in microseconds."""
    filters: tuple[str, ...] = ()
    """Patterns of the subjects that it reads; none for all."""

    def idle_hours(self, now: int) -> float:
        """How long it has been idle at `now`, in microseconds."""
        return max(0, now - self.active) / moment.HOUR

    def describe(self, now: int, before: int, first: int) -> str:
        """In words: how many messages before a sequence are kept for it, and how long it has been idle."""
        return f"{self.name} ({self.count(before, first)} messages, idle for {self.idle_hours(now):.1f} h)"

    def count(self, before: int, first: int) -> int:
        """How many of the messages from `first` on and before `before` are kept for it."""
        return max(0, before - max(self.next, first))


async def holders(js: JetStreamContext, stream: str) -> list[Holder]:
    """All durable consumers of the stream."""
    holders: list[Holder] = []
    offset = 0
    while page := await js.consumers_info(stream, offset=offset):
        for one in page:
            if one.config is not None and one.config.durable_name and one.ack_floor is not None:
                times = [one.created, one.ack_floor.last_active, one.delivered.last_active if one.delivered else None]
                # the floor does not move past messages that the consumer does not read
                next = one.ack_floor.stream_seq + 1 if one.num_pending or one.num_ack_pending else NOTHING
                holders.append(Holder(one.name, next, _latest(times), _filters(one.config)))
        offset += len(page)
        if len(page) < PAGE:
            break
    return holders


async def first_needed(js: JetStreamContext, stream: str, holder: Holder) -> int:
    """The sequence of the first message that the consumer still has to read, or a lower one if that is unknown."""
    if not holder.filters:
        return holder.next
    first = NOTHING
    for subject in holder.filters:
        try:
            message = await js.get_msg(stream, holder.next, subject, next=True)
        except NotFoundError:
            continue
        except ValueError:  # nats-py cannot parse every message
            return holder.next
        first = min(first, message.seq or holder.next)
    return first


def _filters(config: ConsumerConfig) -> tuple[str, ...]:
    return tuple(config.filter_subjects or ([config.filter_subject] if config.filter_subject else []))


def _latest(times: Sequence[datetime | None]) -> int:
    return max((moment.of(time) for time in times if time is not None), default=0)
