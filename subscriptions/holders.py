"""Durable consumers of the stream: what others still have to read, and who reads no more."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from nats.js import JetStreamContext

from eventscope.store import moment

PAGE: Final = 256  # consumers in one answer of JetStream's
IDLE_HOURS: Final = 1.0  # after which a consumer counts as forgotten


@dataclass(frozen=True, slots=True)
class Holder:
    """A durable consumer, which keeps the stream from being trimmed: it goes on reading at sequence `next`."""

    name: str
    next: int
    active: int
    """When it last read or acknowledged anything, or was made, in microseconds."""

    def idle_hours(self, now: int) -> float:
        """For how long it has been idle at that moment."""
        return max(0, now - self.active) / moment.HOUR

    def shown(self, now: int, before: int, first: int) -> str:
        """In words: how much it keeps of what lies before a sequence, and how long it has been idle."""
        return f"{self.name} ({self.held(before, first)} messages, idle for {self.idle_hours(now):.1f} h)"

    def held(self, before: int, first: int) -> int:
        """How many of the messages from `first` on, up to the one before `before`, it keeps."""
        return max(0, before - max(self.next, first))


async def holders(js: JetStreamContext, stream: str) -> list[Holder]:
    """All durable consumers of the stream."""
    found: list[Holder] = []
    offset = 0
    while page := await js.consumers_info(stream, offset=offset):
        for one in page:
            if one.config is not None and one.config.durable_name and one.ack_floor is not None:
                times = [one.created, one.ack_floor.last_active, one.delivered.last_active if one.delivered else None]
                found.append(Holder(one.name, one.ack_floor.stream_seq + 1, _latest(times)))
        offset += len(page)
        if len(page) < PAGE:
            break
    return found


def _latest(times: Sequence[datetime | None]) -> int:
    return max((moment.of(time) for time in times if time is not None), default=0)
