"""Faults of what lies between: ingesters that are parted from MongoDB or NATS, and a MongoDB that takes no writes."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from tests.chaos.stage import RECOVERY_SECONDS, Stage
from tests.support.network_proxy import Proxy
from tests.support.until import until

MINUTE: Final = 60.0


async def mongod_slow(stage: Stage, chance: random.Random) -> str:
    """Every answer takes its time; a transaction takes several."""
    each, seconds = chance.uniform(0.02, 0.3), chance.uniform(2.0, 6.0)
    lines = [line.mongo for line in stage.lines]
    for line in lines:
        line.slow(each)
    await asyncio.sleep(seconds)
    for line in lines:
        await line.heal()
    return f"by {each * 2:.2f} s an answer for {seconds:.1f} s"


async def mongod_parted(stage: Stage, chance: random.Random) -> str:
    """From one ingester or from both, which then have no sign of it."""
    return await _parted(stage, chance, [line.mongo for line in stage.lines])


async def nats_parted(stage: Stage, chance: random.Random) -> str:
    """From one ingester or from both, while services go on."""
    return await _parted(stage, chance, [line.nats for line in stage.lines])


async def connections_broken(stage: Stage, chance: random.Random) -> str:
    """All at once, those of one ingester; new ones are well."""
    lines = chance.choice(stage.lines)
    for line in (lines.mongo, lines.nats):
        await line.cut()
        await line.heal()
    return f"of ingester{stage.lines.index(lines) + 1}"


async def mongod_read_only(stage: Stage, chance: random.Random) -> str:
    """It is no primary for a while: it answers questions, and refuses writes."""
    seconds = chance.randint(2, 5)
    await read_only(stage, seconds)
    return f"for {seconds} s"


async def mongod_locked(stage: Stage, chance: random.Random) -> str:
    """It answers questions, and writes wait, as on a disk that does not answer."""
    seconds = chance.uniform(1.0, 5.0)
    async with locked(stage):
        await asyncio.sleep(seconds)
    return f"for {seconds:.1f} s"


async def mongod_away_for_long(stage: Stage, chance: random.Random) -> str:
    """Longer than any time limit: it is dead, or out of reach."""
    if chance.random() < 0.5:
        await stage.mongod.kill()
        await asyncio.sleep(MINUTE)
        await stage.mongod.start()
        return f"dead for {MINUTE:g} s"
    async with silent([line.mongo for line in stage.lines]):
        await asyncio.sleep(MINUTE)
    return f"out of reach for {MINUTE:g} s"


async def read_only(stage: Stage, seconds: int) -> None:
    """Let MongoDB be no primary for so long, and wait until it is one again."""
    await stage.log.mongo.client.admin.command(
        {"replSetStepDown": seconds, "secondaryCatchUpPeriodSecs": 0, "force": True}
    )
    await until(stage.mongod.server.answers, RECOVERY_SECONDS)


@asynccontextmanager
async def locked(stage: Stage) -> AsyncIterator[None]:
    """Let MongoDB's writes wait for the length of the block."""
    await stage.log.mongo.client.admin.command({"fsync": 1, "lock": True})
    try:
        yield
    finally:
        await stage.log.mongo.client.admin.command({"fsyncUnlock": 1})


@asynccontextmanager
async def silent(lines: Sequence[Proxy], *, forgotten: bool = False) -> AsyncIterator[None]:
    """Let these lines be silent for the length of the block; what they carried before may be forgotten for good."""
    for line in lines:
        line.silence()
        if forgotten:
            line.forget()
    try:
        yield
    finally:
        for line in lines:
            await line.heal()


async def _parted(stage: Stage, chance: random.Random, lines: Sequence[Proxy]) -> str:
    chosen = chance.choice([lines, lines[:1], lines[1:]])
    seconds, forgotten = chance.uniform(1.0, 7.0), chance.random() < 0.5
    async with silent(chosen, forgotten=forgotten):
        await asyncio.sleep(seconds)
    names = " and ".join(f"ingester{lines.index(line) + 1}" for line in chosen)
    return f"from {names} for {seconds:.1f} s" + (", and old connections stay silent" if forgotten else "")


NETWORK: Final[Mapping[str, Callable[[Stage, random.Random], Awaitable[str]]]] = {
    "mongod slow": mongod_slow,
    "mongod parted": mongod_parted,
    "mongod read-only": mongod_read_only,
    "mongod locked": mongod_locked,
    "nats parted": nats_parted,
    "connections broken": connections_broken,
}
LONG: Final[Mapping[str, Callable[[Stage, random.Random], Awaitable[str]]]] = {
    "mongod away for long": mongod_away_for_long,
}
