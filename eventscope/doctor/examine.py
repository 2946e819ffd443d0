"""Runs `eventscope doctor`: checks both servers and the log, and prints each finding with what to do."""

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
from eventscope.doctor import log_checks, mongo_checks, nats_checks
from eventscope.doctor.finding import Finding, Level, broken, warning
from eventscope.errors import CannotStart, EventscopeError, Unavailable
from eventscope.settings import Settings
from eventscope.store import incidents
from eventscope.store.diagnostics import ServerFacts, server_facts
from eventscope.store.events import types
from eventscope.store.log import Log, collections
from eventscope.store.recount import sample
from eventscope.store.rejected import messages, quota
from eventscope.store.state import agreement, checkpoint, replaced, stopped
from eventscope.store.state.checkpoint import LogCheckpoint
from eventscope.store.stats import claims
from eventscope.subscriptions.ingest.lag import lag
from eventscope.subscriptions.live import live_batch
from eventscope.subscriptions.live.traffic import measure_traffic
from eventscope.subscriptions.nats.client import violations_text
from eventscope.subscriptions.nats.diagnostics import SECONDS, MonitoringFacts, NatsFacts, monitoring_facts, nats_facts
from eventscope.terminal import safe, say_json

COLOURS: Final = {Level.OK: "green", Level.NOTE: "cyan", Level.WARNING: "yellow", Level.BROKEN: "red"}
SAMPLES: Final = 50  # samples of derived data to compare with the events
SAMPLE_SECONDS: Final = 2.0
LISTEN_SECONDS: Final = 1.5 * live_batch.HEARTBEAT_SECONDS
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Options:
    """The longest outage to be prepared for, NATS' monitoring address, and which servers are embedded."""

    outage_hours: float = 24.0
    monitor: str | None = None
    embedded: frozenset[str] = frozenset()
    nats_seconds: float = SECONDS
    """Within which NATS must answer a request."""


def embedded_servers(settings: Settings, dev: RunningDev | None) -> frozenset[str]:
    """Which of the servers that the settings name were started by that `eventscope dev`: `mongod`, `nats`."""
    if dev is None:
        return frozenset()
    addresses = {"mongod": (settings.mongo_url, dev.mongo), "nats": (settings.nats_url, dev.nats)}
    return frozenset(name for name, (ours, its) in addresses.items() if name in dev.pids and ours == its)


async def examine(settings: Settings, options: Options, *, acknowledge: bool = False) -> list[Finding]:
    """Run all checks; a server that does not answer is a finding, too.

    With `acknowledge`, losses so far are first marked as known, and cause no warnings from then on.
    """
    findings: list[Finding] = []
    async with AsyncExitStack() as stack:
        log = await _enter(stack, connect_mongo(settings), "MongoDB", findings)
        client = await _enter(stack, connect_nats(settings, "eventscope doctor"), "NATS", findings)
        at_mongo = None if log is None else await _mongo(log, options, findings)
        at_nats = None if client is None else await _nats(client, settings, options, findings)
        if log is not None and at_mongo is not None and at_mongo.indexes:
            if acknowledge:
                await incidents.acknowledge(log)
            await _log(log, settings, client if at_nats is not None and at_nats.stream else None, findings)
        elif at_mongo is not None and at_nats is not None and at_nats.stream is not None:
            findings += log_checks.absent_log(settings.stream, at_nats.stream.first_sequence)
        if client is not None and (denials := violations_text(client)) is not None:
            advice = "let the user publish and subscribe as docs/operating.md says (NATS with credentials)"
            findings.append(broken("NATS permissions", denials, advice))
    ahead: dict[str, tuple[float, float] | None] = {}
    if at_mongo is not None:
        ahead["MongoDB"] = (at_mongo.ahead, at_mongo.doubt)
    if at_nats is not None:
        ahead["NATS"] = None if at_nats.ahead is None else (at_nats.ahead, at_nats.doubt)
    return [*findings, log_checks.clocks(ahead)] if ahead else findings


def table(findings: Sequence[Finding]) -> Table:
    """The findings for people, each with its advice below it."""
    rows = Table("", "checked", "found", box=None, pad_edge=False)
    advice = {""}
    problems: set[str] = set()
    for finding in findings:
        colour = COLOURS[finding.level]
        # several checks may find the same problem: it is printed once
        new = "" if finding.advice in advice else f"\n[bold]→ {escape(safe(finding.advice))}[/bold]"
        advice.add(finding.advice)
        found = "as above" if finding.level == Level.BROKEN and finding.found in problems else finding.found
        if finding.level == Level.BROKEN:
            problems.add(finding.found)
        mark = f"[{colour}]{finding.level.name.lower()}[/{colour}]"
        rows.add_row(mark, finding.check, escape(safe(found)) + new)
    return rows


def encode(findings: Sequence[Finding]) -> bytes:
    """The findings for programs, as JSON."""
    worst = max((finding.level for finding in findings), default=Level.OK)
    report = {"worst": worst.name.lower(), "findings": [finding.data for finding in findings]}
    return orjson.dumps(report, option=orjson.OPT_INDENT_2)


def show(findings: Sequence[Finding], *, as_json: bool) -> None:
    """Print the findings, for people or as JSON."""
    if as_json:
        say_json(encode(findings))
    else:
        Console().print(table(findings), highlight=False)


async def _enter(
    stack: AsyncExitStack, context: AbstractAsyncContextManager[T], server: str, findings: list[Finding]
) -> T | None:
    try:
        return await stack.enter_async_context(context)
    except CannotStart as error:
        found, _, advice = str(error).partition("; ")
        findings.append(broken(server, found, advice or "correct the setting"))
        return None


async def _mongo(log: Log, options: Options, findings: list[Finding]) -> ServerFacts | None:
    try:
        facts = await server_facts(log)
    except EventscopeError as error:
        findings.append(broken("MongoDB", str(error), "look at the server and its log"))
        return None
    findings += mongo_checks.findings(facts, embedded="mongod" in options.embedded)
    return facts


async def _nats(client: Client, settings: Settings, options: Options, findings: list[Finding]) -> NatsFacts | None:
    try:
        facts = await nats_facts(client, settings.stream, options.nats_seconds)
    except Unavailable as error:
        findings.append(broken("NATS", str(error), "look at the server and its log"))
        return None
    monitored: MonitoringFacts | None = None
    try:
        monitored = None if options.monitor is None else await monitoring_facts(options.monitor)
    except Unavailable as error:
        findings.append(
            warning("NATS monitor", str(error), "start nats-server with -m 8222, and give http://HOST:8222")
        )
    outage = options.outage_hours * 3600
    findings += nats_checks.findings(
        facts, settings.stream, settings.subjects, outage, monitored, embedded="nats" in options.embedded
    )
    return facts


async def _checked(check: str, work: Callable[[], Awaitable[Finding]]) -> Finding:
    """The finding of a check, or one that says why the check failed, so that the other checks go on."""
    try:
        return await work()
    except EventscopeError as error:
        found, _, advice = str(error).partition(": ")
        return broken(check, found, advice or "look at MongoDB and its log")
    except Exception as error:  # whatever is in the database, the doctor reports it
        text = " ".join(str(error).split())[:300]
        return broken(check, f"the check failed: {type(error).__name__}: {text}", "find out what changed in MongoDB")


async def _agreement(log: Log, at: LogCheckpoint) -> Finding:
    problem: str | None = None
    try:
        changed = replaced.names(at, await collections(log))
        if not at.lease_held:
            await agreement.check(log, at.head, at.rejected_head, accepted=at.accepted)
            await replaced.to_recount(log, at, changed)
        elif changed:
            # a running ingester checks this itself while it runs
            problem = (
                f"these collections of the log were dropped or replaced just now, {', '.join(sorted(changed))}:"
                " see what the ingester reports in a moment"
            )
    except EventscopeError as error:
        problem = str(error)
    return log_checks.agreement(problem)


async def _log(log: Log, settings: Settings, client: Client | None, findings: list[Finding]) -> None:
    async def lag_check() -> Finding:
        return log_checks.lag(None if client is None else await lag(log, client, settings.stream))

    async def live_check() -> Finding:
        found = None if client is None else await measure_traffic(log, client, settings.stream, LISTEN_SECONDS)
        return log_checks.live_batches(found, live_batch.subject(settings.stream))

    async def rejected_check() -> Finding:
        return log_checks.rejected(await messages.codes(log))

    async def dropped_check() -> Finding:
        return log_checks.dropped(await quota.dropped(log), (await incidents.read(log)).dropped)

    async def incidents_check() -> Finding:
        return log_checks.incidents(await incidents.read(log))

    async def types_check() -> Finding:
        return log_checks.types(await types.first(log, log_checks.MOST_TYPES + 1))

    async def claims_check() -> Finding:
        return log_checks.claims(await claims.claims(log))

    async def counts_check() -> Finding:
        return log_checks.counts(await sample.several(log, SAMPLES, SAMPLE_SECONDS))

    findings += await _checkpoint(log)
    findings += [
        await _checked(check, work)
        for check, work in (
            ("ingest lag", lag_check),
            ("live batches", live_check),
            ("rejected messages", rejected_check),
            ("rejected messages dropped", dropped_check),
            ("incidents", incidents_check),
            ("event types", types_check),
            ("claimed versions", claims_check),
            ("derived counts", counts_check),
        )
    ]


async def _checkpoint(log: Log) -> list[Finding]:
    at: LogCheckpoint | None = None

    async def ingester_check() -> Finding:
        nonlocal at
        at = await checkpoint.read(log)
        return log_checks.ingester(at, None if at.lease_held else await stopped.last(log))

    ingester = await _checked("ingester", ingester_check)
    if at is None:
        return [ingester]
    read = at

    async def lost_check() -> Finding:
        return log_checks.lost(read, (await incidents.read(log)).lost)

    collections = await _checked("log collections", lambda: _agreement(log, read))
    return [ingester, collections, log_checks.source(read), await _checked("lost messages", lost_check)]
