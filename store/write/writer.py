"""The writer of the log: holds the lease, knows the checkpoint, and stores batch after batch in one session."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

from eventscope.errors import EventscopeError, LeaseLost, Unavailable
from eventscope.store import incidents
from eventscope.store.log import Log, collections, prepare
from eventscope.store.mongo.cursors import fetch_all
from eventscope.store.mongo.driver import Session
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.recount import whole
from eventscope.store.state import agreement, checkpoint, lease, replaced
from eventscope.store.state.checkpoint import LogCheckpoint
from eventscope.store.stats import daily
from eventscope.store.values.documents import INTEGERS
from eventscope.store.values.message import MessageBatch, Stored, StreamPosition
from eventscope.store.write.append import Prepared, commit, prepare_batch
from eventscope.store.write.cache import WriterCache
from eventscope.store.write.draft import Draft
from eventscope.store.write.retention import Retention

TRIES: Final = 3

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Writer:
    """One holder's time with the lease. After any error the checkpoint is unknown: start again with `writing`."""

    log: Log
    retention: Retention
    holder: str
    lease_seconds: float
    session: Session
    at: LogCheckpoint
    collections: Mapping[str, object]
    """The unique id of each collection at the start."""
    cache: WriterCache = field(default_factory=WriterCache)
    at_work: bool = True
    """Whether others may rely on this ingester."""
    _being_written: Draft | None = None
    _written: Draft | None = None
    """The last draft that was written; None at the start."""

    @property
    def ahead(self) -> LogCheckpoint:
        """The checkpoint after the batch that is being written, or `at` if none is."""
        return self.at if self._being_written is None else self._being_written.checkpoint_after()

    async def append(self, batch: MessageBatch) -> Stored:
        """Store the batch, all or nothing; raises what `prepare` and `start` raise."""
        return await self.start(await self.prepare(batch))

    async def prepare(self, batch: MessageBatch) -> Prepared:
        """Draft the batch, as the next one after the one that is being written; raises what `prepare_batch` raises."""
        return await prepare_batch(self.log, self.retention, self.at, batch, self.cache, self._being_written)

    def start(self, prepared: Prepared) -> asyncio.Task[Stored]:
        """Begin to write the batch, after the one before it has been written. The task raises what `commit` raises."""
        self._being_written = prepared.draft
        return asyncio.create_task(self._write(prepared))

    async def _write(self, prepared: Prepared) -> Stored:
        try:
            follows = prepared.base is None or prepared.base is self._written
            if not follows or prepared.draft.at != self.at:
                # the batch before it was written in another way than it was drafted, or not at all
                self._being_written = None
                prepared = await self.prepare(prepared.batch)
                self._being_written = prepared.draft
            self._written = await commit(self.log, self.retention, prepared, self.session, self.cache)
        finally:
            self._being_written = None
        self.at = self._written.checkpoint_after()
        return self._written.result()

    async def renew(self) -> None:
        """Renew the lease, or raise LeaseLost; Unavailable when a collection was replaced.

        The next `writing` then finds out whether the new collection holds what it must.
        """
        now = await lease.acquire(
            self.log, self.holder, self.lease_seconds, self.session.session_id, at_work=self.at_work
        )
        # The lease alone is not enough: another may have moved the checkpoint, so the cache may be outdated.
        if now is None:
            raise LeaseLost(f"{self.holder} did not renew the lease in time, and another ingester took over")
        if (now.identity, now.head) != (self.at.identity, self.at.head):
            raise LeaseLost(
                f"the log was written up to position {self.at.head} by {self.holder}, and the checkpoint in meta says"
                f" {now.head}: another ingester took over, or the database was dropped or restored"
            )
        if now != self.at:
            raise LeaseLost(f"the checkpoint was changed by another ingester or a recount, and not by {self.holder}")
        ids = await collections(self.log)
        if replaced_names := sorted(name for name, id in self.collections.items() if ids.get(name) != id):
            raise Unavailable(f"{_were(replaced_names)} dropped or replaced just now")

    async def work(self) -> None:
        """Announce that this ingester is at work, and renew the lease; raises what `renew` raises."""
        self.at_work = True
        await self.renew()

    async def begin(self, start: StreamPosition) -> None:
        """Record the position from which the stream is first read."""
        self.at = await checkpoint.begin(self.log, self.at, start)

    async def start_again(self, start: StreamPosition, last: int | None = None) -> None:
        """Record that the stream is another one, and is read from `start` on; see `count_reset`."""
        self.at = await checkpoint.count_reset(self.log, self.at, start, last)


@asynccontextmanager
async def writing(
    log: Log, retention: Retention, holder: str, lease_seconds: float, *, at_work: bool = True
) -> AsyncIterator[Writer | None]:
    """The writer for the length of the block, or None while another ingester holds the lease. Releases it at the end.

    With `at_work=False`, others cannot rely on it until its `work` is called. Missing indexes are created first.
    Raises Unavailable or QuestionTimedOut when MongoDB does not answer, Blocked or CannotStart when its collections are
    not as the log needs them.
    """
    async with log.mongo.session() as session:
        at = await lease.acquire(log, holder, lease_seconds, session.session_id, at_work=at_work)
        if at is None:
            yield None
            return
        try:
            # each time: a collection that was dropped meanwhile has lost its indexes
            await prepare(log)
            ids = await collections(log)
            await agreement.check(log, at.head, at.rejected_head, accepted=at.accepted)
            at = await _verified(log, at, ids)
            if at.recorded_at == 0 and at.head > 0:
                at = replace(at, recorded_at=await _last_recorded_at(log))
            await daily.complete(log, session)
            yield Writer(log, retention, holder, lease_seconds, session, at, ids, at_work=at_work)
        except EventscopeError:
            # A transaction may still be open in the session, which would stop every other writer, and even this
            # holder's next try, since the driver reuses sessions.
            with suppress(EventscopeError), translate_errors(2.0):
                await log.mongo.end_session(session.session_id)
            raise
        finally:
            with suppress(EventscopeError):  # the lease expires anyway
                await lease.release(log, holder)


async def _last_recorded_at(log: Log) -> int:
    """The `recordedAt` of the last event, which older versions did not note; 0 if none is left."""
    with translate_errors(log.question_seconds):
        newest = await fetch_all(log.events.find({"_id": {"$gt": 0}}, {"recordedAt": 1}).sort("_id", -1).limit(1))
    recorded_at: Any = newest[0].get("recordedAt") if newest else None
    return int(recorded_at) if type(recorded_at) in INTEGERS else 0


async def _verified(log: Log, at: LogCheckpoint, ids: Mapping[str, object]) -> LogCheckpoint:
    """The checkpoint, once it is certain that replaced collections lost nothing, or their counts were made again."""
    replaced_names = replaced.names(at, ids)
    if lost_counts := await replaced.to_recount(log, at, replaced_names | await replaced.empty(log)):
        logger.error("%s dropped, emptied or not restored: counting its contents again", _were(sorted(lost_counts)))
        for _ in range(TRIES):  # another recount may be running
            await whole.counts(log)
            if not await replaced.to_recount(log, at, lost_counts):
                break
        else:
            logger.error("%s counted again, and still differs: run `eventscope recount`", _were(sorted(lost_counts)))
    if "rejected" in replaced_names:
        message = f"{_were(['rejected'])} dropped or replaced: its contents are gone, unless they were restored"
        logger.error(message)
        await incidents.note(log, message)
    ours = replaced.ours(ids)
    return at if not ours or ours == at.collections else await checkpoint.adopt(log, at, ours)


def _were(names: Sequence[str]) -> str:
    return f"the collection {names[0]} was" if len(names) == 1 else f"the collections {', '.join(names)} were"
