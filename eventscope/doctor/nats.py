"""What `eventscope doctor` thinks of a NATS server and of the stream: plain functions of the facts."""

from collections.abc import Sequence
from typing import Final

from eventscope.doctor.finding import Finding, broken, note, ok, warning
from eventscope.settings import variable
from eventscope.store.values import moment
from eventscope.store.values.message import MOST_RAW
from eventscope.subscriptions.ingest.trim import FULL
from eventscope.subscriptions.live import live_batch
from eventscope.subscriptions.messages.parse import MOST_BYTES
from eventscope.subscriptions.nats.capture import reserved
from eventscope.subscriptions.nats.diagnostics import MonitoringFacts, NatsFacts, StreamFacts
from eventscope.subscriptions.nats.holders import IDLE_HOURS
from eventscope.subscriptions.nats.subjects import covers

OLDEST: Final = (2, 12, 3)
REPLICAS: Final = 3
HOUR: Final = 3600.0
WINDOW_SECONDS: Final = 60.0
TELLING: Final = 100  # messages, and
TELLING_SECONDS: Final = 60.0  # seconds from the first to the last, by which a rate can be told


def findings(
    facts: NatsFacts,
    stream: str,
    subjects: Sequence[str],
    outage: float,
    monitored: MonitoringFacts | None,
    *,
    embedded: bool,
) -> list[Finding]:
    """All that there is to say; `outage` is the longest one planned for, in seconds."""
    found = [version(facts.version), jetstream(facts.jetstream), payload(facts.max_payload)]
    if facts.jetstream is not None:
        return found
    if facts.stream is None:
        advice = f"start `eventscope ingest`, which makes it, or name another with {variable('stream')}"
        return [*found, broken("NATS stream", f"there is no stream {stream}", advice)]
    at = facts.stream
    return [
        *found,
        takes(at, stream, subjects),
        storage(at, stream),
        replicas(at, stream, embedded=embedded),
        *absent(at),
        keeps(at, stream),
        age(at, stream, outage),
        *size(at, stream, outage),
        room(facts),
        consumers(facts, at, stream),
        own_words(facts, at, stream),
        window(at, stream),
        sync(at, monitored),
    ]


def version(found: tuple[int, int, int]) -> Finding:
    """The server's version."""
    check, said = "NATS version", f"NATS {'.'.join(map(str, found))}"
    if found < OLDEST:
        return warning(check, f"{said} can lose acknowledged messages when a cluster changes", "upgrade to 2.12.3")
    return ok(check, said)


def jetstream(trouble: str | None) -> Finding:
    """Whether there is a JetStream for us."""
    if trouble is not None:
        return broken("JetStream", f"JetStream is not there: {trouble}", "start nats-server with -js")
    return ok("JetStream", "JetStream is on")


def payload(most: int) -> Finding:
    """Whether every event that the log takes comes through NATS."""
    check, found = "NATS max payload", f"messages may have {most} bytes"
    if most < MOST_BYTES:
        advice = "set max_payload to 2MB if services publish larger events"
        return note(check, f"{found}, events up to {MOST_BYTES}", advice)
    if most > MOST_RAW:
        return note(check, f"{found}, and of a rejected one {MOST_RAW} are kept", "set max_payload to 8MB")
    return ok(check, found)


def takes(at: StreamFacts, stream: str, subjects: Sequence[str]) -> Finding:
    """Whether the stream captures what it should."""
    check = "NATS subjects"
    left = [subject for subject in subjects if not any(covers(wide, subject) for wide in at.subjects)]
    if left:
        advice = f"start `eventscope ingest`, which adds it, or set {variable('subjects')}"
        return broken(check, f"{stream} does not take {', '.join(left)}", advice)
    if at.sealed:
        return broken(check, f"{stream} is sealed and takes nothing any more", "make another stream")
    return ok(check, f"{stream} takes {', '.join(at.subjects)}")


def storage(at: StreamFacts, stream: str) -> Finding:
    """Whether what is acknowledged outlives a restart."""
    check = "NATS storage"
    if at.storage != "file":
        return broken(
            check,
            f"{stream} is kept in {at.storage}: a restart of NATS loses what is not stored yet",
            "make it anew with --storage file: a stream cannot be changed in this",
        )
    return ok(check, f"{stream} is kept on disk")


def replicas(at: StreamFacts, stream: str, *, embedded: bool) -> Finding:
    """How many machines may die."""
    check = "NATS replicas"
    found = f"{stream} has {'one copy' if at.replicas == 1 else f'{at.replicas} copies'}"
    if at.replicas >= REPLICAS:
        return ok(check, found)
    if embedded:
        return note(check, f"{found}, as on embedded servers")
    return warning(
        check,
        f"{found}: what is not stored yet is lost with a disk",
        f"run three servers, and: nats stream edit {stream} --replicas 3",
    )


def absent(at: StreamFacts) -> list[Finding]:
    """Replicas that are away or behind; nothing when none is."""
    if not at.absent:
        return []
    return [warning("NATS members", f"away or behind: {', '.join(at.absent)}", "look at: nats server report jetstream")]


def keeps(at: StreamFacts, stream: str) -> Finding:
    """Whether the stream keeps what nobody has stored yet."""
    check = "NATS discard policy"
    if at.retention != "limits":
        return broken(
            check,
            f"{stream} has the retention policy {at.retention}: messages go whenever others have read them",
            "make it anew with --retention limits: a stream cannot be changed in this",
        )
    if at.max_per_subject is not None:
        return broken(
            check,
            f"{stream} keeps {at.max_per_subject} messages of a subject, and forgets older ones",
            f"nats stream edit {stream} --max-msgs-per-subject=-1",
        )
    if at.discard != "new":
        return warning(
            check,
            f"{stream}, when it is full, forgets what nobody has stored yet",
            f"let it refuse publishers instead: nats stream edit {stream} --discard new",
        )
    return ok(check, f"{stream}, when it is full, refuses publishers and forgets nothing")


def age(at: StreamFacts, stream: str, outage: float) -> Finding:
    """Whether messages live through the longest outage."""
    check = "NATS max age"
    if at.max_age is None:
        return ok(check, "messages are kept for any time")
    found = f"messages are dropped after {at.max_age / HOUR:g} h, an outage may last {outage / HOUR:g} h"
    if at.max_age < outage:
        return warning(check, found, f"nats stream edit {stream} --max-age {2 * outage / HOUR:g}h")
    return ok(check, found)


def size(at: StreamFacts, stream: str, outage: float) -> list[Finding]:
    """Whether there is room for what comes in the longest outage, at the rate of what is there now."""
    limits = [
        ("bytes", at.max_bytes, at.bytes, "max-bytes"),
        ("messages", at.max_messages, at.messages, "max-msgs"),
    ]
    found = [_size(at, stream, outage, *limit) for limit in limits if limit[1] is not None]
    return found or [ok("NATS max size", f"{stream} has no limit of its own")]


def _size(at: StreamFacts, stream: str, outage: float, what: str, limit: int | None, held: int, option: str) -> Finding:
    assert limit is not None
    check, found = f"NATS max {what}", f"{stream} holds {held} of at most {limit} {what}"
    advice = f"when it is full, publishers are refused; to raise it: nats stream edit {stream} --{option}"
    seconds = _span(at)
    if seconds is None:
        return note(check, f"{found}; how long these last cannot be told from {at.messages} messages", advice)
    lasts = limit / (held / seconds)
    found = f"{found}; at the present rate they last {lasts / HOUR:.1f} h, an outage may last {outage / HOUR:g} h"
    return warning(check, found, advice) if lasts < outage else ok(check, found)


def _span(at: StreamFacts) -> float | None:
    if at.first is None or at.last is None or at.messages < TELLING:
        return None
    seconds = (at.last - at.first) / 1_000_000
    return seconds if seconds >= TELLING_SECONDS else None


def room(facts: NatsFacts) -> Finding:
    """How much JetStream may keep for us in all."""
    check, used = "NATS room", f"{facts.storage_used / 2**20:.1f} MiB"
    if facts.storage_limit is None:
        return ok(check, f"the account uses {used}, without a limit of its own")
    share = facts.storage_used / facts.storage_limit
    found = f"the account uses {used} of {facts.storage_limit / 2**20:.1f} MiB ({share:.0%})"
    return warning(check, found, "raise max_store of the account, or purge") if share > 0.85 else ok(check, found)


def consumers(facts: NatsFacts, at: StreamFacts, stream: str) -> Finding:
    """Whether others keep the stream from being trimmed."""
    check = "NATS consumers"
    end, now = at.last_sequence + 1, moment.now()
    holding = [one for one in facts.holders if one.count(end, at.first_sequence)]
    if not holding:
        return ok(check, f"no durable consumer keeps anything in {stream}")
    found = "kept in the stream for durable consumers until they acknowledge it: " + ", ".join(
        one.describe(now, end, at.first_sequence) for one in holding
    )
    full = at.max_bytes is not None and at.bytes > FULL * at.max_bytes
    forgotten = [one.name for one in holding if full or one.idle_hours(now) > IDLE_HOURS]
    if not forgotten:
        return note(check, found)
    removing = "; ".join(f"nats consumer rm {stream} {name}" for name in forgotten)
    return warning(
        check, found, f"when the stream is full of it, publishers are refused; if nobody reads it: {removing}"
    )


def own_words(facts: NatsFacts, at: StreamFacts, stream: str) -> Finding:
    """Whether a stream takes in what Eventscope itself sends."""
    check = "NATS live subjects"
    if taken := reserved(at.subjects):
        return broken(
            check,
            f"{stream} takes {', '.join(taken)}, where Eventscope and NATS themselves send, and is not read for that",
            f"take that out: nats stream edit {stream} --subjects …",
        )
    if others := [name for name in facts.listening if name != stream]:
        return warning(
            check,
            f"{', '.join(others)} keeps each event once more, and a heartbeat a second, off"
            f" {live_batch.subject(stream)}",
            "take eventscope.live.> out of its subjects",
        )
    return ok(check, "no stream takes in what Eventscope itself sends")


def window(at: StreamFacts, stream: str) -> Finding:
    """For how long JetStream itself knows what comes twice."""
    check, found = "NATS duplicate window", f"JetStream drops what comes twice within {at.duplicate_window:g} s"
    if at.duplicate_window < WINDOW_SECONDS:
        advice = f"later ones are dropped by messageId; to save their way: nats stream edit {stream} --dupe-window 2m"
        return note(check, found, advice)
    return ok(check, found)


def sync(at: StreamFacts, monitored: MonitoringFacts | None) -> Finding:
    """Whether what is acknowledged is on disk."""
    check = "NATS sync"
    if monitored is None:
        return note(
            check,
            "whether it is on disk before it is acknowledged cannot be seen from here",
            "give the monitoring address: --nats-monitor http://HOST:8222",
        )
    if monitored.sync_always:
        return ok(check, f"{monitored.server} writes to disk before it acknowledges")
    found = f"{monitored.server} acknowledges before it writes to disk: a loss of power loses what is not stored yet"
    advice = "set in its configuration, at the price of speed: jetstream { sync_interval: always }"
    if at.replicas >= REPLICAS:
        return note(check, f"{found} if all {at.replicas} replicas lose it at once", advice)
    return warning(check, found, advice)
