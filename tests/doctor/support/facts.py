"""Facts about servers where all is well, and what the doctor finds in them once some are changed."""

from dataclasses import replace
from typing import Any

from eventscope.doctor import mongo_checks, nats_checks
from eventscope.doctor.finding import Finding, Level
from eventscope.store.diagnostics import ServerFacts, own_indexes
from eventscope.store.recount.difference import Difference
from eventscope.store.state.checkpoint import LogCheckpoint
from eventscope.subscriptions.nats.diagnostics import MonitoringFacts, NatsFacts, StreamFacts

OK, NOTE, WARNING, BROKEN = Level.OK, Level.NOTE, Level.WARNING, Level.BROKEN
HOUR = 3600.0
DAY = 24 * HOUR
GIB = 2**30

MONGO = ServerFacts(
    version="7.0.1",
    replica_set="rs0",
    members=("a:27017", "b:27017", "c:27017"),
    unhealthy=(),
    write_concern={"w": "majority", "j": True, "wtimeout": 10_000},
    read_concern="majority",
    ahead=0.01,
    doubt=0.001,
    disk_total=100 * GIB,
    disk_used=40 * GIB,
    indexes=frozenset(own_indexes()),
    expires=True,
    history_seconds=0.0,
)
STREAM = StreamFacts(
    subjects=("events.>",),
    storage="file",
    replicas=3,
    absent_replicas=(),
    retention="limits",
    discard="new",
    max_age=None,
    max_bytes=GIB,
    max_messages=None,
    max_per_subject=None,
    duplicate_window=120.0,
    is_sealed=False,
    messages=10_000,
    bytes=10_000_000,
    first=0,
    last=int(2 * DAY) * 1_000_000,
)
NATS = NatsFacts(
    version=(2, 15, 1),
    max_payload=8 * 2**20,
    jetstream=None,
    stream=STREAM,
    storage_limit=None,
    storage_used=0,
    ahead=-0.01,
    doubt=0.001,
)
WRONG = [
    Difference("population", {"aggregateType": f"type {n}\n", "expireAt": None}, {"n": 12}, {"n": n}) for n in range(12)
]
CHECKPOINT = LogCheckpoint(7, 0, None, 0, "somebody", 3, lease_held=True)


def of_mongo(embedded: bool = False, **changed: Any) -> list[Finding]:
    """The findings about MongoDB."""
    return mongo_checks.findings(replace(MONGO, **changed), embedded=embedded)


def of_nats(monitored: MonitoringFacts | None = None, embedded: bool = False, **changed: Any) -> list[Finding]:
    """The findings about NATS, whose stream must keep messages for a day."""
    facts = replace(NATS, **changed)
    return nats_checks.findings(facts, "EVENTS", ["events.>"], DAY, monitored, embedded=embedded)


def of_stream(monitored: MonitoringFacts | None = None, embedded: bool = False, **changed: Any) -> list[Finding]:
    """The findings about NATS if the stream is changed."""
    return of_nats(monitored, embedded, stream=replace(STREAM, **changed))


def worse(findings: list[Finding]) -> dict[str, Level]:
    """The findings that are not simply good."""
    return {finding.check: finding.level for finding in findings if finding.level != OK}
