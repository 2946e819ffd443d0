"""`eventscope doctor`: looks at both servers and at the log, and says of each thing how it is and what to do."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Final, TypeVar

import orjson
from nats.aio.client import Client
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from eventscope.connections import connect_mongo, connect_nats
from eventscope.dev.data_folder import RunningDev
from eventscope.doctor import log as log_checks
from eventscope.doctor import mongo as mongo_checks
from eventscope.doctor import nats as nats_checks
from eventscope.doctor.finding import Finding, Level, broken, warning
from eventscope.errors import CannotStart, EventscopeError, Unavailable
from eventscope.settings import Settings
from eventscope.store import diagnostics as mongo
from eventscope.store import incidents
from eventscope.store.events import types
from eventscope.store.log import Log, collections
from eventscope.store.recount import sample
from eventscope.store.rejected import messages, room
from eventscope.store.state import agreement, checkpoint, replaced, stopped
from eventscope.store.state.checkpoint import LogCheckpoint
from eventscope.store.stats import claims
from eventscope.subscriptions.ingest.lag import lag
from eventscope.subscriptions.live import live_batch
from eventscope.subscriptions.live.traffic import measure_traffic
from eventscope.subscriptions.nats import client as nats_client
from eventscope.subscriptions.nats import diagnostics as nats
from eventscope.terminal import safe, say_json

COLOURS: Final = {Level.OK: "green", Level.NOTE: "cyan", Level.WARNING: "yellow", Level.BROKEN: "red"}
SAMPLES: Final = 50  # of what is derived from the events
SAMPLE_SECONDS: Final = 2.0
LISTEN_SECONDS: Final = 1.5 * live_batch.HEARTBEAT_SECONDS
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Options:
    """What the doctor is told: the longest outage planned for, NATS' monitoring address, and what is embedded."""

    outage_hours: float = 24.0
    monitor: str | None = None
    embedded: frozenset[str] = frozenset()


def embedded_servers(settings: Settings, here: RunningDev | None) -> frozenset[str]:
    """Which of the two servers that the settings name are those of an `eventscope dev`."""
    if here is None:
        return frozenset()
    addresses = {"mongod": (settings.mongo_url, here.mongo), "nats": (settings.nats_url, here.nats)}
    return frozenset(name for name, (ours, its) in addresses.items() if name in here.pids and ours == its)


async def examine(settings: Settings, options: Options, *, acknowledge: bool = False) -> list[Finding]:
    """Look at everything; that a server does not answer is a finding, too.

    With `acknowledge`, note first that all that was lost by now is known, which is no warning from then on.
    """
    findings: list[Finding] = []
    async with AsyncExitStack() as stack:
        log = await _reached(stack, connect_mongo(settings), "MongoDB", findings)
        client = await _reached(stack, connect_nats(settings, "eventscope doctor"), "NATS", findings)
        at_mongo = None if log is None else await _mongo(log, options, findings)
        at_nats = None if client is None else await _nats(client, settings, options, findings)
        if log is not None and at_mongo is not None and at_mongo.indexes:
            if acknowledge:
                await incidents.acknowledge(log)
            await _log(log, settings, client if at_nats is not None and at_nats.stream else None, findings)
        if client is not None and (refusal := nats_client.violations_text(client)) is not None:
            advice = "let the user publish and subscribe as docs/operating.md says (NATS with credentials)"
            findings.append(broken("NATS permissions", refusal, advice))
    ahead: dict[str, tuple[float, float] | None] = {}
    if at_mongo is not None:
        ahead["MongoDB"] = (at_mongo.ahead, at_mongo.doubt)
    if at_nats is not None:
        ahead["NATS"] = None if at_nats.ahead is None else (at_nats.ahead, at_nats.doubt)
    return [*findings, log_checks.clocks(ahead)] if ahead else findings


def table(findings: Sequence[Finding]) -> Table:
    """The findings for people, with the advice under what it is about."""
    rows = Table("", "looked at", "found", box=None, pad_edge=False)
    advised: set[str] = set()
    broken_so: set[str] = set()
    for finding in findings:
        colour = COLOURS[finding.level]
        # one thing that is wrong may be found in several ways
        new = "" if finding.advice in advised else finding.advice
        advised.add(finding.advice)
        advice = f"\n[bold]→ {escape(safe(new))}[/bold]" if new else ""
        told = "as above" if finding.level == Level.BROKEN and finding.found in broken_so else finding.found
        if finding.level == Level.BROKEN:
            broken_so.add(finding.found)
        mark = f"[{colour}]{finding.level.name.lower()}[/{colour}]"
        rows.add_row(mark, finding.check, escape(safe(told)) + advice)
    return rows


def encode(findings: Sequence[Finding]) -> bytes:
    """The findings for programs, as JSON."""
    worst = max((finding.level for finding in findings), default=Level.OK)
    answer = {"worst": worst.name.lower(), "findings": [finding.data for finding in findings]}
    return orjson.dumps(answer, option=orjson.OPT_INDENT_2)


def show(findings: Sequence[Finding], *, as_json: bool) -> None:
    """Print the findings."""
    if as_json:
        say_json(encode(findings))
    else:
        Console().print(table(findings), highlight=False)


async def _reached(
    stack: AsyncExitStack, context: AbstractAsyncContextManager[T], server: str, findings: list[Finding]
) -> T | None:
    try:
        return await stack.enter_async_context(context)
    except CannotStart as error:
        found, _, advice = str(error).partition("; ")
        findings.append(broken(server, found, advice or "mend the setting"))
        return None


async def _mongo(log: Log, options: Options, findings: list[Finding]) -> mongo.ServerFacts | None:
    try:
        found = await mongo.facts(log)
    except EventscopeError as error:
        findings.append(broken("MongoDB", str(error), "look at the server and its log"))
        return None
    findings += mongo_checks.findings(found, embedded="mongod" in options.embedded)
    return found


async def _nats(client: Client, settings: Settings, options: Options, findings: list[Finding]) -> nats.NatsFacts | None:
    try:
        found = await nats.facts(client, settings.stream)
    except Unavailable as error:
        findings.append(broken("NATS", str(error), "look at the server and its log"))
        return None
    monitored: nats.MonitoringFacts | None = None
    try:
        monitored = None if options.monitor is None else await nats.monitoring_facts(options.monitor)
    except Unavailable as error:
        findings.append(
            warning("NATS monitor", str(error), "start nats-server with -m 8222, and give http://HOST:8222")
        )
    outage = options.outage_hours * 3600
    findings += nats_checks.findings(
        found, settings.stream, settings.subjects, outage, monitored, embedded="nats" in options.embedded
    )
    return found


async def _checked(check: str, work: Callable[[], Awaitable[Finding]]) -> Finding:
    """The finding, or one that says why there is none: the other checks go on."""
    try:
        return await work()
    except EventscopeError as error:
        found, _, advice = str(error).partition(": ")
        return broken(check, found, advice or "look at MongoDB and its log")
    except Exception as error:  # whatever is in the database, the doctor names it
        said = " ".join(str(error).split())[:300]
        return broken(check, f"it cannot be looked at: {type(error).__name__}: {said}", "look what was done to MongoDB")


async def _agreement(log: Log, at: LogCheckpoint) -> Finding:
    trouble: str | None = None
    try:
        changed = replaced.names(at, await collections(log))
        if not at.lease_held:
            await agreement.check(log, at.head, at.rejected_head, accepted=at.accepted)
            await replaced.to_recount(log, at, changed)
        elif changed:
            # an ingester that is at work looks itself, and goes on meanwhile
            trouble = (
                f"of the collections of the log these were dropped or replaced just now, {', '.join(sorted(changed))}:"
                " see what the ingester says of it in a moment"
            )
    except EventscopeError as error:
        trouble = str(error)
    return log_checks.agreement(trouble)


async def _log(log: Log, settings: Settings, client: Client | None, findings: list[Finding]) -> None:
    async def waiting() -> Finding:
        return log_checks.lag(None if client is None else await lag(log, client, settings.stream))

    async def listened() -> Finding:
        found = None if client is None else await measure_traffic(log, client, settings.stream, LISTEN_SECONDS)
        return log_checks.live_batches(found, live_batch.subject(settings.stream))

    async def codes() -> Finding:
        return log_checks.rejected(await messages.codes(log))

    async def dropped() -> Finding:
        return log_checks.dropped(await room.dropped(log), (await incidents.read(log)).dropped)

    async def happened() -> Finding:
        return log_checks.incidents(await incidents.read(log))

    async def known() -> Finding:
        return log_checks.types(await types.first(log, log_checks.MOST_TYPES + 1))

    async def claimed() -> Finding:
        return log_checks.claims(await claims.claims(log))

    async def counts() -> Finding:
        return log_checks.counts(await sample.several(log, SAMPLES, SAMPLE_SECONDS))

    findings += await _checkpoint(log)
    findings += [
        await _checked(check, work)
        for check, work in (
            ("ingest lag", waiting),
            ("live batches", listened),
            ("rejected messages", codes),
            ("rejected messages dropped", dropped),
            ("incidents", happened),
            ("event types", known),
            ("claimed versions", claimed),
            ("derived counts", counts),
        )
    ]


async def _checkpoint(log: Log) -> list[Finding]:
    at: LogCheckpoint | None = None

    async def ingester() -> Finding:
        nonlocal at
        at = await checkpoint.read(log)
        return log_checks.ingester(at, None if at.lease_held else await stopped.last(log))

    async def missed() -> Finding:
        return log_checks.lost(read, (await incidents.read(log)).lost)

    first = await _checked("ingester", ingester)
    if at is None:
        return [first]
    read = at
    agreed = await _checked("log collections", lambda: _agreement(log, read))
    return [first, agreed, log_checks.source(read), await _checked("lost messages", missed)]
