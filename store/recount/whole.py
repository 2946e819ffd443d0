"""The whole recount: everything derived, held against the events, and put right, while new events come in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from eventscope.store.log import Log, collections
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.recount import expirations, heads, populations, remains, rows
from eventscope.store.recount.wrong import Progress, Wrong
from eventscope.store.state import agreement, checkpoint, replaced

PASSES: Final = 5
SECONDS: Final = 240.0


@dataclass(frozen=True, slots=True)
class RecountReport:
    """What was wrong at first, what still is, and what only somebody who knows where it comes from can put right."""

    wrong: list[Wrong]
    left: list[Wrong]
    beyond: list[Wrong]


async def recount(log: Log, tell: Progress, *, mend: bool, accept_loss: bool = False) -> RecountReport:
    """Find what is derived wrongly, and `mend` it until nothing is found any more, or something is again and again.

    Safe to be killed in, and to be run by two at once. Raises Unavailable or QuestionTimedOut when MongoDB is away, and
    Blocked when the collections and the checkpoint do not agree or events were lost, of which the counts are the last
    trace; unless told to `accept_loss`, which makes a checkpoint of what is left. Heads of aggregates are no such trace
    while all events are there.
    """
    now = await collections(log)
    if not accept_loss:
        await _agreed(log, now)
    elif mend:
        await remains.accept(log)
    first = found = await _pass(log, tell, mend=mend)
    passes = 1
    while mend and _mendable(found) and passes < PASSES:
        found = await _pass(log, tell, mend=passes < PASSES - 1)
        passes += 1
    if mend and accept_loss:
        await checkpoint.accept(log, replaced.ours(now))
    return RecountReport(_mendable(first), _mendable(found), [one for one in found if one.advice])


async def _agreed(log: Log, now: Mapping[str, object]) -> None:
    with translate_errors(SECONDS):
        async with log.mongo.session(snapshot=True) as session:  # batches may come in meanwhile
            at = await checkpoint.read(log, session=session)
            all_there = await agreement.has_all(log, at.head, session=session)
            await agreement.check(
                log, at.head, at.rejected_head, accepted=at.accepted, all_there=all_there, session=session
            )
    await replaced.to_recount(log, at, replaced.names(at, now), all_there=all_there)


def _mendable(wrong: list[Wrong]) -> list[Wrong]:
    return [one for one in wrong if not one.advice]


async def counts(log: Log) -> None:
    """Make the counts of events and aggregates what these give, once.

    Raises Unavailable or QuestionTimedOut when MongoDB is away.
    """
    await populations.mend(log, await populations.differences(log))
    basis = await rows.basis(log, lambda kind, done, total: None)
    await rows.mend(log, basis, await rows.differences(log, basis))


async def _pass(log: Log, tell: Progress, *, mend: bool) -> list[Wrong]:
    # aggregates are counted by their heads, and what is noted of expired events may be added to with the rows
    wrong_heads = await heads.differences(log, tell)
    if mend:
        await heads.mend(log, wrong_heads)
    numbers = await populations.differences(log, () if mend else wrong_heads)
    if mend:
        await populations.mend(log, numbers)
    basis = await rows.basis(log, tell)
    wrong_rows = await rows.differences(log, basis)
    if mend:
        await rows.mend(log, basis, wrong_rows)
    wrong_notes = await expirations.differences(log)
    if mend:
        await expirations.mend(log, wrong_notes)
    return [*wrong_heads, *numbers.wrong, *wrong_rows, *wrong_notes]
