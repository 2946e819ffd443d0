"""The whole recount: compares all derived data with the events and corrects it, while new events come in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from eventscope.store.log import Log, collections
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.recount import checkpoint_repair, expirations, heads, populations, rows
from eventscope.store.recount.difference import Difference, Progress
from eventscope.store.state import agreement, checkpoint, replaced

PASSES: Final = 5
SECONDS: Final = 240.0


@dataclass(frozen=True, slots=True)
class RecountReport:
    """What was wrong at first, what still is (`left`), and what no recount can correct (`beyond`)."""

    wrong: list[Difference]
    left: list[Difference]
    beyond: list[Difference]


async def recount(
    log: Log, report: Progress, *, repair: bool, accept_loss: bool = False, chunk: int = rows.CHUNK
) -> RecountReport:
    """Find wrong derived data and, with `repair`, correct it until a pass finds nothing, for at most `PASSES` passes.

    It may be interrupted anywhere, and run twice at once. Raises Unavailable or QuestionTimedOut when MongoDB is away.
    Blocked when the collections contradict the checkpoint, or when events were lost: their counts are the last trace of
    them. `accept_loss` rebuilds the checkpoint from what is left instead. Lost heads of aggregates do not block while
    all events exist, since these prove the heads. The events of `chunk` positions are counted in one step.
    """
    now = await collections(log)
    if not accept_loss:
        await _require_agreement(log, now)
    elif repair:
        await checkpoint_repair.accept_loss(log)  # first: the recount below needs a checkpoint that matches the events
    first = latest = await _pass(log, report, chunk, repair=repair)
    passes = 1
    # the last pass only looks: what it finds is `left`
    while repair and _repairable(latest) and passes < PASSES:
        latest = await _pass(log, report, chunk, repair=passes < PASSES - 1)
        passes += 1
    if repair and accept_loss:
        await checkpoint.accept(log, replaced.ours(now))
    return RecountReport(_repairable(first), _repairable(latest), [one for one in latest if one.advice])


async def _require_agreement(log: Log, now: Mapping[str, object]) -> None:
    with translate_errors(SECONDS):
        async with log.mongo.snapshot() as session:  # batches may come in meanwhile
            at = await checkpoint.read(log, session=session)
            all_there = await agreement.has_all(log, at.head, session=session)
            await agreement.check(
                log, at.head, at.rejected_head, accepted=at.accepted, all_there=all_there, session=session
            )
    await replaced.to_recount(log, at, replaced.names(at, now), all_there=all_there)


def _repairable(wrong: list[Difference]) -> list[Difference]:
    return [one for one in wrong if not one.advice]


async def counts(log: Log) -> None:
    """Correct the counts of events and aggregates, in one pass.

    Raises Unavailable or QuestionTimedOut when MongoDB is away.
    """
    await populations.repair(log, await populations.differences(log))
    basis = await rows.basis(log, lambda kind, done, total: None)
    await rows.repair(log, basis, await rows.differences(log, basis))


async def _pass(log: Log, report: Progress, chunk: int, *, repair: bool) -> list[Difference]:
    # in this order: aggregates are counted by their heads, and correcting rows may add notes of expired events
    wrong_heads = await heads.differences(log, report)
    if repair:
        await heads.repair(log, wrong_heads)
    numbers = await populations.differences(log, () if repair else wrong_heads)
    if repair:
        await populations.repair(log, numbers)
    basis = await rows.basis(log, report, chunk)
    wrong_rows = await rows.differences(log, basis)
    if repair:
        await rows.repair(log, basis, wrong_rows)
    wrong_notes = await expirations.differences(log)
    if repair:
        await expirations.repair(log, wrong_notes)
    return [*wrong_heads, *numbers.wrong, *wrong_rows, *wrong_notes]
