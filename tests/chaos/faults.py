"""The faults of a chaos run: each breaks something on the stage, repairs it, and returns what it did, in words."""

import random
import shutil
import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, StreamState

from eventscope.dev.servers import Nats
from eventscope.processes.ports import free
from eventscope.store.state import checkpoint
from eventscope.subscriptions.nats import stream
from tests.chaos.forging import batches_forged
from tests.chaos.ledger import Loss
from tests.chaos.network import NETWORK
from tests.chaos.program import ServerProgram
from tests.chaos.stage import RECOVERY_SECONDS, Stage, clock_file, has_caught_up
from tests.support.raw_publisher import publish_acknowledged
from tests.support.until import until

MIN_MESSAGES: Final = 100  # in a full stream: fewer might leave nothing to trim, as the last message always stays

# the rest of the subject, the headers, and the codes with which the message is rejected
MALFORMED: Final[Mapping[str, tuple[bytes, bytes | None, frozenset[str]]]] = {
    "subject that is not text": (b"\xff\xfe", None, frozenset({"UNREADABLE"})),
    "subject with white space": (b"a\x0bb", None, frozenset({"INVALID_JSON"})),
    "status 409": (b"a", b"NATS/1.0\r\nStatus: 409\r\n\r\n", frozenset({"INVALID_JSON"})),
    "status 100": (b"a", b"NATS/1.0\r\nStatus: 100\r\n\r\n", frozenset({"INVALID_JSON"})),
}

Fault = Callable[[Stage, random.Random], Awaitable[str]]


async def ingester_killed(stage: Stage, chance: random.Random) -> str:
    """Kill the ingester, its standby, or both."""
    chosen = chance.choice([stage.ingesters, stage.ingesters[:1], stage.ingesters[1:]])
    for program in chosen:
        await program.kill()
    return " and ".join(program.name for program in chosen)


async def ingester_frozen(stage: Stage, chance: random.Random) -> str:
    """Freeze an ingester for longer than the lease, or for less."""
    program, seconds = chance.choice(stage.ingesters), chance.uniform(0.5, 4.0)
    await program.freeze(seconds)
    return f"{program.name} for {seconds:.1f} s"


async def api_killed(stage: Stage, chance: random.Random) -> str:
    """Kill or terminate one API or both, so that subscribers continue at the other one, or wait."""
    chosen = chance.choice([stage.apis, stage.apis[:1], stage.apis[1:]])
    how = chance.choice((signal.SIGKILL, signal.SIGTERM))
    for program in chosen:
        program.send(how)
    return f"{' and '.join(program.name for program in chosen)} by {how.name}"


async def api_frozen(stage: Stage, chance: random.Random) -> str:
    """Freeze an API with its connections open."""
    program, seconds = chance.choice(stage.apis), chance.uniform(0.5, 4.0)
    await program.freeze(seconds)
    return f"{program.name} for {seconds:.1f} s"


async def mongod_killed(stage: Stage, chance: random.Random) -> str:
    """Kill MongoDB, and start it again at once."""
    await stage.mongod.kill()
    await stage.mongod.start()
    return "started again at once"


async def mongod_away(stage: Stage, chance: random.Random) -> str:
    """Kill MongoDB, and start it again after a while."""
    seconds = chance.uniform(2.0, 5.0)
    await stage.mongod.kill()
    before = stage.load.ledger.acknowledged
    await _sending(stage, before, int(100 * seconds))
    await stage.mongod.start()
    return f"until {stage.load.ledger.acknowledged - before} messages waited"


async def mongod_frozen(stage: Stage, chance: random.Random) -> str:
    """Freeze MongoDB with its connections open."""
    seconds = chance.uniform(0.5, 4.0)
    await stage.mongod.freeze(seconds)
    return f"for {seconds:.1f} s"


async def nats_killed(stage: Stage, chance: random.Random) -> str:
    """Kill NATS, and start it again at once."""
    await stage.nats.kill()
    await stage.nats.start()
    return "started again at once"


async def nats_frozen(stage: Stage, chance: random.Random) -> str:
    """Freeze NATS with its connections open."""
    seconds = chance.uniform(0.5, 4.0)
    await stage.nats.freeze(seconds)
    return f"for {seconds:.1f} s"


async def nats_lost_its_last_messages(stage: Stage, chance: random.Random) -> str:
    """Replace the data of NATS with an older copy, as after a power failure.

    NATS then loses messages that it had acknowledged but nobody had read; the ledger records which these may be.
    """
    ledger, folder, copy = stage.load.ledger, stage.nats.server.folder, stage.folder / "copy"
    await _read_up(stage)
    await stage.nats.kill()
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    beyond, before = await _last_sequence(stage, copy), len(ledger.servers)
    await stage.nats.start()
    await _sending(stage, ledger.acknowledged, chance.randint(50, 400))
    if chance.random() < 0.6:  # let the log have some of what is lost
        await until(lambda: _read(stage, beyond), RECOVERY_SECONDS)
    if chance.random() < 0.6:  # but not the last of it
        for program in stage.ingesters:
            await program.kill()
        await _sending(stage, ledger.acknowledged, chance.randint(20, 200))
    await stage.nats.kill()
    through = max(beyond, await _place(stage))
    # a connection of a service belongs to one start of NATS, so all later acknowledgements are from the next start
    await until(lambda: not any(service.connected for service in stage.load.services))
    ledger.losses.append(Loss(frozenset(ledger.servers[before:]), through))
    shutil.rmtree(folder)
    shutil.copytree(copy, folder)
    await stage.nats.start()
    return f"from sequence {beyond} on, of which the log had read up to {through}"


async def poison(stage: Stage, chance: random.Random) -> str:
    """Publish messages that look like the server's own, or have bytes that no client library would send."""
    ledger, prefix = stage.load.ledger, stage.settings.subjects[0].removesuffix(">").encode()
    kinds = chance.choices(list(MALFORMED), k=chance.randint(3, 12))
    for kind in kinds:
        word, headers, codes = MALFORMED[kind]
        body = b"" if headers else b"poison %d" % len(ledger.sent)
        known = [one for one in ledger.sent if one.raw == body]
        one = known[0] if known else ledger.enter("poison", len(ledger.sent), kind, body, {}, None, codes)
        one.sendings += 1
        server, sequence = await publish_acknowledged(stage.settings.nats_url, prefix + word, body, headers)
        ledger.acknowledge(one, server, sequence, duplicate=False)
    return ", ".join(kinds)


async def messages_dropped(stage: Stage, chance: random.Random) -> str:
    """Let JetStream drop messages by a limit on the stream, while nobody reads; the log records which."""
    ledger = stage.load.ledger
    await _read_up(stage)
    before = (await checkpoint.read(stage.log)).lost_count
    client = await stream.connect(stage.settings.nats_url, "chaos", seconds=RECOVERY_SECONDS)
    try:
        js = client.jetstream()
        usual = (await js.stream_info(stage.settings.stream)).config
        for program in stage.ingesters:
            program.send(signal.SIGSTOP)
        try:
            # otherwise new messages would be delivered to them at once
            for one in await js.consumers_info(stage.settings.stream):
                await js.delete_consumer(stage.settings.stream, one.name)
            await _sending(stage, ledger.acknowledged, chance.randint(100, 600))
            await js.update_stream(usual, discard=DiscardPolicy.OLD, max_msgs=chance.randint(5, 50))
            await _sending(stage, ledger.acknowledged, chance.randint(20, 200))
            await js.update_stream(usual)
        finally:
            for program in stage.ingesters:
                program.send(signal.SIGCONT)
    finally:
        await stream.close(client)
    await _read_up(stage)
    at = await checkpoint.read(stage.log)
    for lost in at.lost:
        ledger.losses.append(Loss(None, lost.first - 1, lost.last))
    return f"{at.lost_count - before} of them"


async def stream_full(stage: Stage, chance: random.Random) -> str:
    """Fill the stream, so that it refuses publishers until the ingester trims it; then restore its limit."""
    ledger = stage.load.ledger
    client = await stream.connect(stage.settings.nats_url, "chaos", seconds=RECOVERY_SECONDS)
    try:
        js, before = client.jetstream(), ledger.refusals
        target = before + chance.randint(10, 60)
        usual = (await js.stream_info(stage.settings.stream)).config
        while ledger.refusals < target:  # it may be trimmed before it has refused so many
            await js.update_stream(usual)
            full = await until(lambda: _filled(stage, js), RECOVERY_SECONDS)
            assert full is not None
            await js.update_stream(usual, max_bytes=full.bytes)

            async def refused_or_trimmed(first: int = full.first_seq) -> bool:
                now = await js.stream_info(stage.settings.stream)
                return ledger.refusals >= target or now.state.first_seq > first

            await until(refused_or_trimmed, RECOVERY_SECONDS)
        await _sending(stage, ledger.acknowledged, chance.randint(20, 100))
        await js.update_stream(usual)
        return f"refused {ledger.refusals - before} times until it was trimmed"
    finally:
        await stream.close(client)


async def clocks_wrong(stage: Stage, chance: random.Random) -> str:
    """Set the clocks of the ingesters' machines wrong by weeks, while they run or before they start."""
    days, restarts = chance.choice((-40, 40)), chance.random() < 0.5
    file = clock_file(stage.folder)
    file.write_text(str(days))
    if restarts:
        for program in stage.ingesters:
            await program.kill()
    await _sending(stage, stage.load.ledger.acknowledged, chance.randint(200, 800))
    file.unlink()
    return f"by {days} days{', from their start on' if restarts else ''}"


FAULTS: Final[Mapping[str, Fault]] = {
    "ingester killed": ingester_killed,
    "ingester frozen": ingester_frozen,
    "api killed": api_killed,
    "api frozen": api_frozen,
    "mongod killed": mongod_killed,
    "mongod frozen": mongod_frozen,
    "mongod away": mongod_away,
    "nats killed": nats_killed,
    "nats frozen": nats_frozen,
    "nats lost its last messages": nats_lost_its_last_messages,
    "stream full": stream_full,
    "poison": poison,
    "batches forged": batches_forged,
    "messages dropped": messages_dropped,
    "clocks wrong": clocks_wrong,
    **NETWORK,
}


async def _filled(stage: Stage, js: JetStreamContext) -> StreamState | None:
    """The stream's state, once it has enough messages to trim; None before."""
    state = (await js.stream_info(stage.settings.stream)).state
    return state if state.messages >= MIN_MESSAGES else None


async def _sending(stage: Stage, before: int, count: int) -> None:
    await until(lambda: stage.load.ledger.acknowledged >= before + count, RECOVERY_SECONDS)


async def _place(stage: Stage) -> int:
    position = (await checkpoint.read(stage.log)).stream_position
    return 0 if position is None else position.sequence


async def _read(stage: Stage, sequence: int) -> bool:
    return await _place(stage) > sequence


async def _read_up(stage: Stage) -> None:
    """Wait until the log has all of the stream.

    Publishing pauses meanwhile: on a busy machine, a log that lags would not catch up in time.
    """
    client = await stream.connect(stage.settings.nats_url, "chaos", seconds=RECOVERY_SECONDS)
    try:
        with stage.load.held():
            await until(lambda: has_caught_up(stage.settings, stage.log, client), RECOVERY_SECONDS)
    finally:
        await stream.close(client)


async def _last_sequence(stage: Stage, copy: Path) -> int:
    """The last sequence that the copy will have when NATS starts on it."""
    folder = copy.with_name("inspected")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(copy, folder)
    program = ServerProgram(Nats(folder, free()))
    await program.start()
    client = await stream.connect(program.server.url, "chaos")
    try:
        return int((await client.jetstream().stream_info(stage.settings.stream)).state.last_seq)
    finally:
        await stream.close(client)
        await program.close()
