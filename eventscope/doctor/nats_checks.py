"""Checks of the NATS server and the stream. No I/O."""

from collections.abc import Sequence
from typing import Final

from eventscope.doctor.finding import Finding, broken, note, ok, warning
from eventscope.settings import variable
from eventscope.store.values import moment
from eventscope.store.values.message import MOST_RAW
from eventscope.subscriptions.ingest.trim import FULL
from eventscope.subscriptions.live import live_batch
from eventscope.subscriptions.messages.json_body import MOST_BYTES
from eventscope.subscriptions.nats.capture import reserved
from eventscope.subscriptions.nats.diagnostics import MonitoringFacts, NatsFacts, StreamFacts
from eventscope.subscriptions.nats.holders import IDLE_HOURS
from eventscope.subscriptions.nats.subjects import covers

OLDEST: Final = (2, 12, 3)
REPLICAS: Final = 3
HOUR: Final = 3600.0
WINDOW_SECONDS: Final = 60.0
RATE_MESSAGES: Final = 100  # a rate is computed from at least this many messages,
RATE_SECONDS: Final = 60.0  # with at least this many seconds from the first to the last


def findings(
    facts: NatsFacts,
    stream: str,
    subjects: Sequence[str],
    outage: float,
    monitored: MonitoringFacts | None,
    *,
    embedded: bool,
) -> list[Finding]:
    """The findings of all checks; `outage` is the longest outage to be prepared for, in seconds."""
    results = [version(facts.version), jetstream(facts.jetstream), payload(facts.max_payload)]
    if facts.jetstream is not None:
        return results
    if facts.stream is None:
        advice = f"start `eventscope ingest`, which creates it, or name another with {variable('stream')}"
        return [*results, broken("NATS stream", f"there is no stream {stream}", advice)]
    at = facts.stream
    return [
        *results,
        takes(at, stream, subjects),
        storage(at, stream),
        replicas(at, stream, embedded=embedded),
        *absent(at),
        keeps(at, stream),
        age(at, stream, outage),
        *size(at, stream, outage),
        room(facts),
        consumers(facts, at, stream),
        own_subjects(facts, at, stream),
        window(at, stream),
        sync(at, monitored),
    ]


def version(number: tuple[int, int, int]) -> Finding:
    """The server's version."""
    check, text = "NATS version", f"NATS {'.'.join(map(str, number))}"
    if number < OLDEST:
        return warning(check, f"{text} can lose acknowledged messages when a cluster changes", "upgrade to 2.12.3")
    return ok(check, text)


def jetstream(problem: str | None) -> Finding:
    """Whether JetStream is available."""
    if problem is not None:
        return broken("JetStream", f"JetStream is not available: {problem}", "start nats-server with -js")
    return ok("JetStream", "JetStream is on")


def payload(most: int) -> Finding:
    """Whether NATS accepts every event that the log accepts."""
    check, text = "NATS max payload", f"messages may have {most} bytes"
    if most < MOST_BYTES:
        advice = "set max_payload to 2MB if services publish larger events"
        return note(check, f"{text}, events {MOST_BYTES}", advice)
    if most > MOST_RAW:
        return note(check, f"{text}, but only {MOST_RAW} of a rejected message are kept", "set max_payload to 8MB")
    return ok(check, text)


def takes(at: StreamFacts, stream: str, subjects: Sequence[str]) -> Finding:
    """Whether the stream captures all subjects of the settings."""
    check = "NATS subjects"
    missing = [subject for subject in subjects if not any(covers(wide, subject) for wide in at.subjects)]
    if missing:
        advice = f"start `eventscope ingest`, which adds it, or set {variable('subjects')}"
        return broken(check, f"{stream} does not capture {', '.join(missing)}", advice)
    if at.is_sealed:
        return broken(check, f"{stream} is sealed and accepts no more messages", "create another stream")
    return ok(check, f"{stream} captures {', '.join(at.subjects)}")


def storage(at: StreamFacts, stream: str) -> Finding:
    """Whether acknowledged messages survive a restart."""
    check = "NATS storage"
    if at.storage != "file":
        return broken(
            check,
            f"{stream} is kept in {at.storage}: a restart of NATS loses messages that are not in the log yet",
            "recreate it with --storage file: this cannot be changed in a stream",
        )
    return ok(check, f"{stream} is kept on disk")


def replicas(at: StreamFacts, stream: str, *, embedded: bool) -> Finding:
    """How many copies of the stream there are."""
    check = "NATS replicas"
    text = f"{stream} has {'one copy' if at.replicas == 1 else f'{at.replicas} copies'}"
    if at.replicas >= REPLICAS:
        return ok(check, text)
    if embedded:
        return note(check, f"{text}, as on embedded servers")
    return warning(
        check,
        f"{text}: the loss of one disk loses messages that are not in the log yet",
        f"run three servers, and: nats stream edit {stream} --replicas 3",
    )


def absent(at: StreamFacts) -> list[Finding]:
    """Replicas that are offline or lag behind; empty if none is."""
    if not at.absent_replicas:
        return []
    return [
        warning(
            "NATS members", f"offline or behind: {', '.join(at.absent_replicas)}", "see: nats server report jetstream"
        )
    ]


def keeps(at: StreamFacts, stream: str) -> Finding:
    """Whether the stream keeps messages until they are in the log."""
    check = "NATS discard policy"
    if at.retention != "limits":
        return broken(
            check,
            f"{stream} has the retention policy {at.retention}: messages are removed once others have read them",
            "recreate it with --retention limits: this cannot be changed in a stream",
        )
    if at.max_per_subject is not None:
        return broken(
            check,
            f"{stream} keeps only {at.max_per_subject} messages per subject, and removes older ones",
            f"nats stream edit {stream} --max-msgs-per-subject=-1",
        )
    if at.discard != "new":
        return warning(
            check,
            f"a full {stream} removes messages that are not in the log yet",
            f"have it refuse new messages instead: nats stream edit {stream} --discard new",
        )
    return ok(check, f"a full {stream} refuses new messages and removes none")


def age(at: StreamFacts, stream: str, outage: float) -> Finding:
    """Whether messages are kept through the longest outage."""
    check = "NATS max age"
    if at.max_age is None:
        return ok(check, "messages are kept without a time limit")
    text = f"messages are dropped after {at.max_age / HOUR:g} h, an outage may last {outage / HOUR:g} h"
    if at.max_age < outage:
        return warning(check, text, f"nats stream edit {stream} --max-age {2 * outage / HOUR:g}h")
    return ok(check, text)


def size(at: StreamFacts, stream: str, outage: float) -> list[Finding]:
    """Whether there is room for the messages of the longest outage, at the rate of those in the stream now."""
    limits = [
        ("bytes", at.max_bytes, at.bytes, "max-bytes"),
        ("messages", at.max_messages, at.messages, "max-msgs"),
    ]
    results = [_size(at, stream, outage, *limit) for limit in limits if limit[1] is not None]
    return results or [ok("NATS max size", f"{stream} has no limit of its own")]


def _size(at: StreamFacts, stream: str, outage: float, what: str, limit: int | None, held: int, option: str) -> Finding:
    assert limit is not None
    check, text = f"NATS max {what}", f"{stream} holds {held} of at most {limit} {what}"
    advice = f"when it is full, publishers are refused; to raise the limit: nats stream edit {stream} --{option}"
    seconds = _span(at)
    if seconds is None:
        text = f"{text}; its messages are too few, or too close in time, to show how long that lasts"
        return note(check, text, advice)
    lasts = limit / (held / seconds)
    text = f"{text}; at the present rate that lasts {lasts / HOUR:.1f} h, an outage may last {outage / HOUR:g} h"
    return warning(check, text, advice) if lasts < outage else ok(check, text)


def _span(at: StreamFacts) -> float | None:
    if at.first is None or at.last is None or at.messages < RATE_MESSAGES:
        return None
    seconds = (at.last - at.first) / 1_000_000
    return seconds if seconds >= RATE_SECONDS else None


def room(facts: NatsFacts) -> Finding:
    """How much JetStream may store for the account."""
    check, used = "NATS room", f"{facts.storage_used / 2**20:.1f} MiB"
    if facts.storage_limit is None:
        return ok(check, f"the account uses {used}, without a limit of its own")
    share = facts.storage_used / facts.storage_limit
    text = f"the account uses {used} of {facts.storage_limit / 2**20:.1f} MiB ({share:.0%})"
    return warning(check, text, "raise max_store of the account, or purge") if share > 0.85 else ok(check, text)


def consumers(facts: NatsFacts, at: StreamFacts, stream: str) -> Finding:
    """Whether other consumers keep the stream from being trimmed."""
    check = "NATS consumers"
    end, now = at.last_sequence + 1, moment.now()
    holders = [one for one in facts.holders if one.count(end, at.first_sequence)]
    if not holders:
        return ok(check, f"no durable consumer keeps messages in {stream}")
    text = "messages kept in the stream until durable consumers acknowledge them: " + ", ".join(
        one.describe(now, end, at.first_sequence) for one in holders
    )
    full = at.max_bytes is not None and at.bytes > FULL * at.max_bytes
    forgotten = [one.name for one in holders if full or one.idle_hours(now) > IDLE_HOURS]
    if not forgotten:
        return note(check, text)
    removal = "; ".join(f"nats consumer rm {stream} {name}" for name in forgotten)
    return warning(check, text, f"if these fill the stream, publishers are refused; if nobody reads them: {removal}")


def own_subjects(facts: NatsFacts, at: StreamFacts, stream: str) -> Finding:
    """Whether a stream captures the messages that Eventscope itself sends."""
    check = "NATS live subjects"
    if captured := reserved(at.subjects):
        return broken(
            check,
            f"{stream} captures {', '.join(captured)}, where Eventscope and NATS send their own, so it is not read",
            f"remove them: nats stream edit {stream} --subjects …",
        )
    if others := [name for name in facts.capturing_streams if name != stream]:
        return warning(
            check,
            f"{', '.join(others)} captures {live_batch.subject(stream)}, and so stores each event again, and a"
            " heartbeat each second",
            "remove eventscope.live.> from its subjects",
        )
    return ok(check, "no stream captures what Eventscope itself sends")


def window(at: StreamFacts, stream: str) -> Finding:
    """For how long JetStream itself recognises duplicates."""
    check, text = "NATS duplicate window", f"JetStream drops duplicates within {at.duplicate_window:g} s"
    if at.duplicate_window < WINDOW_SECONDS:
        advice = f"the log drops later ones by messageId; to drop them here: nats stream edit {stream} --dupe-window 2m"
        return note(check, text, advice)
    return ok(check, text)


def sync(at: StreamFacts, monitored: MonitoringFacts | None) -> Finding:
    """Whether acknowledged messages are on disk."""
    check = "NATS sync"
    if monitored is None:
        return note(
            check,
            "whether NATS writes messages to disk before it acknowledges them is unknown",
            "give its monitoring address: --nats-monitor http://HOST:8222",
        )
    if monitored.sync_always:
        return ok(check, f"{monitored.server} writes to disk before it acknowledges")
    text = f"{monitored.server} acknowledges before it writes to disk: a power failure loses what is not in the log yet"
    advice = "set in its configuration, at a cost in speed: jetstream { sync_interval: always }"
    if at.replicas >= REPLICAS:
        return note(check, f"{text} if it hits all {at.replicas} replicas at once", advice)
    return warning(check, text, advice)
