"""The writer of the log: holds the lease, knows the checkpoint, and stores batch after batch in one session."""

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from eventscope.errors import EventscopeError, LeaseLost, Unavailable
from eventscope.store import incidents
from eventscope.store.log import Log, collections, prepare
from eventscope.store.mongo.driver import Session
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.recount import whole
from eventscope.store.state import agreement, checkpoint, replaced
from eventscope.store.state.checkpoint import LogCheckpoint
from eventscope.store.stats import daily
from eventscope.store.values.message import MessageBatch, Stored, StreamPosition
from eventscope.store.write.append import append
from eventscope.store.write.cache import WriterCache
from eventscope.store.write.retention import Retention

TRIES: Final = 3

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Writer:
    """One holder's time with the lease. After any error of it the checkpoint is unknown: begin anew with `writing`."""

    log: Log
    retention: Retention
    holder: str
    lease_seconds: float
    session: Session
    at: LogCheckpoint
    collections: Mapping[str, object]
    """Their identities when it began."""
    memory: WriterCache = field(default_factory=WriterCache)
    at_work: bool = True
    """Whether others may rely on it."""

    async def append(self, batch: MessageBatch) -> Stored:
        """Store the batch, all or nothing; see `append`."""
        stored, self.at = await append(self.log, self.retention, self.at, batch, self.session, self.memory)
        return stored

    async def renew(self) -> None:
        """Keep the lease, or raise LeaseLost; Unavailable when a collection is another one than before.

        Which one that is, whoever begins next sees by the checkpoint, and whether it holds what it must.
        """
        held = await checkpoint.acquire(
            self.log, self.holder, self.lease_seconds, self.session.session_id, at_work=self.at_work
        )
        # not only the lease: what is remembered here counts for this very checkpoint, whoever moved it
        if held is None:
            raise LeaseLost(f"{self.holder} was too slow, and another ingester took over")
        if (held.identity, held.head) != (self.at.identity, self.at.head):
            raise LeaseLost(
                f"the log was written up to position {self.at.head} by {self.holder}, and the checkpoint in meta says"
                f" {held.head}: another ingester took over, or the database was dropped or restored"
            )
        if held != self.at:
            raise LeaseLost(f"the checkpoint was changed by another ingester or a recount, and not by {self.holder}")
        found = await collections(self.log)
        if changed := sorted(name for name, id in self.collections.items() if found.get(name) != id):
            raise Unavailable(f"{_listed(changed)} dropped or replaced just now")

    async def work(self) -> None:
        """Let others know that it is at work, and keep the lease; raises what `renew` raises."""
        self.at_work = True
        await self.renew()

    async def begin(self, start: StreamPosition) -> None:
        """Note where the source is first read from."""
        self.at = await checkpoint.begin(self.log, self.at, start)

    async def start_again(self, start: StreamPosition, last: int | None = None) -> None:
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
            found = await collections(log)
            await agreement.check(log, at.head, at.rejected_head, accepted=at.accepted)
            at = await _settled(log, at, found)
            await daily.complete(log, session)
            yield Writer(log, retention, holder, lease_seconds, session, at, found, at_work=at_work)
        except EventscopeError:
            # its transaction may be open still, and would keep everybody from writing, even this holder: the driver
            # hands the same session out again
            with suppress(EventscopeError), translate_errors(2.0):
                await log.mongo.end_session(session.session_id)
            raise
        finally:
            with suppress(EventscopeError):  # it ends by itself
                await checkpoint.release(log, holder)


async def _settled(log: Log, at: LogCheckpoint, found: Mapping[str, object]) -> LogCheckpoint:
    """The checkpoint once it knows these collections: nothing was lost with those before, or it was counted anew."""
    changed = replaced.names(at, found)
    if wrong := await replaced.to_recount(log, at, changed | await replaced.empty(log)):
        logger.error(
            "%s dropped, emptied or not restored: its counts are made anew from what they count", _listed(sorted(wrong))
        )
        for _ in range(TRIES):  # another recount may be at it
            await whole.counts(log)
            if not await replaced.to_recount(log, at, wrong):
                break
        else:
            logger.error("%s counted anew, and is not right yet: run `eventscope recount`", _listed(sorted(wrong)))
    if "rejected" in changed:
        said = f"{_listed(['rejected'])} dropped or replaced: what was in it is gone, unless it was restored"
        logger.error(said)
        await incidents.note(log, said)
    ours = replaced.ours(found)
    return at if not ours or ours == at.collections else await checkpoint.adopt(log, at, ours)


def _listed(names: Sequence[str]) -> str:
    return f"the collection {names[0]} was" if len(names) == 1 else f"the collections {', '.join(names)} were"
