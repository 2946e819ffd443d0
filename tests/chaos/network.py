"""Faults of the network, which cut ingesters off from MongoDB or NATS, and of a MongoDB that accepts no writes."""

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
    """Delay every answer of MongoDB; a transaction needs several."""
    each, seconds = chance.uniform(0.02, 0.3), chance.uniform(2.0, 6.0)
    lines = [line.mongo for line in stage.lines]
    for line in lines:
        line.slow(each)
    await asyncio.sleep(seconds)
    for line in lines:
        await line.heal()
    return f"by {each * 2:.2f} s an answer for {seconds:.1f} s"


async def mongod_parted(stage: Stage, chance: random.Random) -> str:
    """Cut MongoDB off from one ingester or both, without closing connections."""
    return await _parted(stage, chance, [line.mongo for line in stage.lines])


async def nats_parted(stage: Stage, chance: random.Random) -> str:
    """Cut NATS off from one ingester or both, while services continue."""
    return await _parted(stage, chance, [line.nats for line in stage.lines])


async def connections_broken(stage: Stage, chance: random.Random) -> str:
    """Break all connections of one ingester; new ones work."""
    lines = chance.choice(stage.lines)
    for line in (lines.mongo, lines.nats):
        await line.cut()
        await line.heal()
    return f"of ingester{stage.lines.index(lines) + 1}"


async def mongod_read_only(stage: Stage, chance: random.Random) -> str:
    """Keep MongoDB from being primary for a while: it answers reads, and refuses writes."""
    seconds = chance.randint(2, 5)
    await read_only(stage, seconds)
    return f"for {seconds} s"


async def mongod_locked(stage: Stage, chance: random.Random) -> str:
    """Let MongoDB answer reads while writes hang, as on a disk that does not respond."""
    seconds = chance.uniform(1.0, 5.0)
    async with locked(stage):
        await asyncio.sleep(seconds)
    return f"for {seconds:.1f} s"


async def mongod_away_for_long(stage: Stage, chance: random.Random) -> str:
    """Keep MongoDB dead or unreachable for longer than any time limit."""
    if chance.random() < 0.5:
        await stage.mongod.kill()
        await asyncio.sleep(MINUTE)
        await stage.mongod.start()
        return f"dead for {MINUTE:g} s"
    async with silent([line.mongo for line in stage.lines]):
        await asyncio.sleep(MINUTE)
    return f"out of reach for {MINUTE:g} s"


async def read_only(stage: Stage, seconds: int) -> None:
    """Keep MongoDB from being primary for `seconds`, and wait until it is primary again."""
    await stage.log.mongo.client.admin.command(
        {"replSetStepDown": seconds, "secondaryCatchUpPeriodSecs": 0, "force": True}
    )
    await until(stage.mongod.server.answers, RECOVERY_SECONDS)


@asynccontextmanager
async def locked(stage: Stage) -> AsyncIterator[None]:
    """Let MongoDB's writes hang for the length of the block."""
    await stage.log.mongo.client.admin.command({"fsync": 1, "lock": True})
    try:
        yield
    finally:
        await stage.log.mongo.client.admin.command({"fsyncUnlock": 1})


@asynccontextmanager
async def silent(lines: Sequence[Proxy], *, forgotten: bool = False) -> AsyncIterator[None]:
    """Silence these lines for the length of the block; `forgotten` connections stay silent after it."""
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
LONG_OUTAGES: Final[Mapping[str, Callable[[Stage, random.Random], Awaitable[str]]]] = {
    "mongod away for long": mongod_away_for_long,
}
