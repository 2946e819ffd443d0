"""A chaos run: faults chosen by a seed, one after the other, under load and live delivery; then the checkers."""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from eventscope.store.state import checkpoint
from eventscope.store.values.documents import EventDocument
from tests.chaos import live_checker
from tests.chaos.checker import Report, check
from tests.chaos.faults import FAULTS, Fault, ingester_killed
from tests.chaos.live_checker import LiveReport
from tests.chaos.stage import RECOVERY_SECONDS, Stage, staged
from tests.chaos.stored_log import read_log
from tests.chaos.subscribers import subscribed
from tests.support.until import until

RATE: Final = 500.0
SUBSCRIBERS: Final = 24
ALSO: Final = 0.2  # of the faults strike together with the death of an ingester


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault and its recovery: the log grew again `seconds` after its end."""

    number: int
    name: str
    detail: str
    seconds: float
    head: int


@dataclass(frozen=True, slots=True)
class Run:
    """The result of a run. `resets` is how often the stream was found to have been replaced.

    `connections` counts those of all subscribers, and `stalls` how often one of them stopped reading.
    """

    strikes: tuple[Strike, ...]
    report: Report
    live: LiveReport
    connections: int
    stalls: int
    resets: int
    terms: int
    seconds: float


async def run(
    folder: Path,
    seed: int,
    faults: int,
    *,
    kinds: Mapping[str, Fault] = FAULTS,
    rate: float = RATE,
    subscribers: int = SUBSCRIBERS,
    on_strike: Callable[[Strike], None] = lambda _: None,
) -> Run:
    """Strike with `faults` faults, let everything recover, and compare acknowledgements and deliveries with the log."""
    chance, begin = random.Random(seed), time.monotonic()
    strikes: list[Strike] = []
    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(staged(folder, seed, rate, serving=True))
        head = await _grown(stage, 0)
        crowd = await stack.enter_async_context(subscribed(stage.addresses, seed, subscribers, head))
        for number, name in zip(range(1, faults + 1), deck(chance, list(kinds)), strict=False):
            strikes.append(await _strike(stage, chance, number, name, kinds[name]))
            on_strike(strikes[-1])
        await stage.load.end()
        await stage.settled()
        transcripts = await crowd.end((await checkpoint.read(stage.log)).head)
        for program in stage.ingesters:
            await program.close()
        at = await checkpoint.read(stage.log)
        found = await read_log(stage.log)
        return Run(
            strikes=tuple(strikes),
            report=check(stage.load.ledger.published(), found),
            live=live_checker.check(cast("Sequence[EventDocument]", found.events), transcripts),
            connections=crowd.connections,
            stalls=crowd.stalls,
            resets=at.source_resets,
            terms=at.term,
            seconds=time.monotonic() - begin,
        )


def deck(chance: random.Random, names: Sequence[str]) -> Iterator[str]:
    """Names of faults, endlessly: each comes once before any of them comes again."""
    while True:
        yield from chance.sample(names, len(names))


async def _strike(stage: Stage, chance: random.Random, number: int, name: str, fault: Fault) -> Strike:
    detail = await fault(stage, chance)
    if chance.random() < ALSO:
        detail += f"; then {await ingester_killed(stage, chance)} killed"
    begin = time.monotonic()
    head = await until(stage.head, RECOVERY_SECONDS) or 0
    head = await _grown(stage, head)
    return Strike(number, name, detail, time.monotonic() - begin, head)


async def _grown(stage: Stage, before: int) -> int:
    async def grown() -> int:
        head = await stage.head() or 0
        return head if head > before else 0

    return int(await until(grown, RECOVERY_SECONDS))
