"""The writer of the log: holds the lease, knows the checkpoint, and stores batch after batch in one session."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from eventscope.errors import EventscopeError, LeaseLost, Unavailable
from eventscope.store import agreement, by_day, checkpoint
from eventscope.store.append import append
from eventscope.store.checkpoint import Checkpoint
from eventscope.store.driver import Session, translated
from eventscope.store.log import Log, collections, prepare
from eventscope.store.memory import Memory
from eventscope.store.message import Batch, Place, Stored
from eventscope.store.retention import Retention


@dataclass(slots=True)
class Writer:
    """One holder's time with the lease. After any error of it the checkpoint is unknown: begin anew with `writing`."""

    log: Log
    retention: Retention
    holder: str
    lease_seconds: float
    session: Session
    at: Checkpoint
    collections: dict[str, object]
    """What they were told by when it began."""
    memory: Memory = field(default_factory=Memory)
    at_work: bool = True
    """Whether others may rely on it."""

    async def append(self, batch: Batch) -> Stored:
        """Store the batch, all or nothing; see `append`."""
        stored, self.at = await append(self.log, self.retention, self.at, batch, self.session, self.memory)
        return stored

    async def renew(self) -> None:
        """Keep the lease, or raise LeaseLost; Unavailable when a collection is another one than before."""
        held = await checkpoint.acquire(
            self.log, self.holder, self.lease_seconds, self.session.session_id, at_work=self.at_work
        )
        # not only the lease: what is remembered here counts for this very checkpoint, whoever moved it
        if held != self.at:
            raise LeaseLost(f"{self.holder} was too slow, and another ingester took over")
        if await collections(self.log) != self.collections:
            raise Unavailable("a collection of the log was dropped or replaced just now")

    async def work(self) -> None:
        """Let others know that it is at work, and keep the lease; raises what `renew` raises."""
        self.at_work = True
        await self.renew()

    async def begin(self, start: Place) -> None:
        """Note where the source is first read from."""
        self.at = await checkpoint.begin(self.log, self.at, start)

    async def start_again(self, start: Place, last: int | None = None) -> None:
        """Note that the source is another one than before, and is read from `start` on; see `count_reset`."""
        self.at = await checkpoint.count_reset(self.log, self.at, start, last)


@asynccontextmanager
async def writing(
    log: Log, retention: Retention, holder: str, lease_seconds: float, *, at_work: bool = True
) -> AsyncIterator[Writer | None]:
    """The writer, if the lease can be had, for the length of the block; else None. The lease is given back at the end.

    It is not known to be `at_work` before its `work` where it is not so from the start.
    Indexes that are missing are made before. Raises Unavailable or QuestionTimedOut when MongoDB does not answer,
    Blocked or CannotStart when its collections are not as the log needs them.
    """
    async with log.mongo.session() as session:
        at = await checkpoint.acquire(log, holder, lease_seconds, session.session_id, at_work=at_work)
        if at is None:
            yield None
            return
        try:
            # each time: whoever dropped a collection meanwhile took its indexes with it
            await prepare(log)
            await agreement.check(log, at.head, at.rejected_head)
            await by_day.complete(log, session)
            found = await collections(log)
            yield Writer(log, retention, holder, lease_seconds, session, at, found, at_work=at_work)
        except EventscopeError:
            # its transaction may be open still, and would keep everybody from writing, even this holder: the driver
            # hands the same session out again
            with suppress(EventscopeError), translated(2.0):
                await log.mongo.end_session(session.session_id)
            raise
        finally:
            with suppress(EventscopeError):  # it ends by itself
                await checkpoint.release(log, holder)
