"""Checks of the log: who writes it, how far it is, what it rejected or lost. No I/O."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from eventscope.doctor.finding import Finding, broken, note, ok, warning
from eventscope.store.incidents import Incidents
from eventscope.store.recount.difference import Difference
from eventscope.store.rejected.quota import Dropped
from eventscope.store.state.checkpoint import LogCheckpoint
from eventscope.store.state.stopped import Stopped
from eventscope.store.stats import expiry
from eventscope.store.stats.claims import Claims
from eventscope.store.values import moment
from eventscope.store.values.message import Lost
from eventscope.subscriptions.ingest.lag import Lag
from eventscope.subscriptions.live.traffic import Traffic

ACKNOWLEDGE: Final = "afterwards, run `eventscope doctor --acknowledge`"
MOST_SKEW: Final = 1.0  # seconds
MOST_LAG: Final = 10.0
SHOWN_LOST: Final = 5  # ranges of lost messages
MOST_TYPES: Final = 1_000
MOST_ID_TYPES: Final = 10  # this many types with ids in them are no accident
# a number, a UUID, or at least 16 hexadecimal digits
ID: Final = re.compile(r"\d+|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|(?=.*\d)[0-9a-fA-F]{16,}")
MOST_NAMES: Final = 10
MOST_NAME: Final = 60


def ingester(at: LogCheckpoint, last: Stopped | None = None) -> Finding:
    """Whether an ingester writes the log; `last` is the reason that a running one gave for not writing."""
    check = "ingester"
    if at.lease_held:
        return ok(check, f"{at.holder} is running, the log is at position {at.head}")
    if last is not None:
        found, _, advice = last.reason.partition(": ")
        return broken(check, f"{last.holder} is running but cannot continue: {found}", advice or "look at its log")
    if at.term == 0:
        return warning(check, "no ingester has ever run", "start `eventscope serve` or `eventscope ingest`")
    return broken(
        check,
        f"no ingester is running, the log stays at position {at.head}: new events wait in NATS",
        "start `eventscope serve` or `eventscope ingest`; if one is running, look at its log",
    )


def absent_log(stream: str, first: int) -> list[Finding]:
    """Whether the database may have lost its log, since an ingester seems to have trimmed the stream.

    `first` is the sequence of the first message in the stream. Empty if no message was removed before it.
    """
    if first <= 1:
        return []
    return [
        warning(
            "log collections",
            f"there is no log in this database, but the messages before {first} were removed from {stream}, as an"
            " ingester does once it has stored them",
            "if the database was dropped, restore it from a backup before an ingester starts",
        )
    ]


def agreement(problem: str | None) -> Finding:
    """Whether the collections of the log agree with each other."""
    check = "log collections"
    if problem is None:
        return ok(check, "they agree with each other")
    found, _, advice = problem.partition(": ")
    return broken(check, found, advice)


def lag(status: Lag | None) -> Finding:
    """How far the log is behind the stream."""
    check = "ingest lag"
    if status is None:
        return note(check, "how far the log lags behind is unknown without the stream")
    if status.events == 0:
        return ok(check, "everything in the stream is stored")
    are = "1 message is" if status.events == 1 else f"{status.events} messages are"
    text = f"{are} not stored yet, the oldest for {status.seconds:.1f} s"
    if status.seconds > MOST_LAG:
        return warning(check, text, "look at the log of the ingester, and at eventscope_ingest_errors_total")
    return ok(check, text)


def source(at: LogCheckpoint) -> Finding:
    """Whether the stream was ever replaced."""
    check = "source resets"
    if at.source_resets == 0:
        return ok(check, "the stream was never replaced")
    times = "once" if at.source_resets == 1 else f"{at.source_resets} times"
    return note(
        check,
        f"{times} the stream was recreated or had lost its newest messages, and was read from its start",
        "if nobody recreated it, see `NATS sync` and `NATS replicas`",
    )


def incidents(record: Incidents) -> Finding:
    """Incidents that no other check shows."""
    check = "incidents"
    if not record.count:
        return ok(check, "none")
    new = record.count - record.acknowledged
    newest = record.last[-SHOWN_LOST:] if new <= 0 else record.last[-min(new, SHOWN_LOST) :]
    text = "; ".join(f"{moment.to_text(one.at)}: {one.sentence}" for one in newest)
    if new <= 0:
        return note(check, f"{_acknowledged(record.count)}, the last at {text}")
    more = "…; " if new > len(newest) else ""
    return warning(
        check,
        f"{more}{text}",
        f"events that were not stored are lost: have their publishers send them again; {ACKNOWLEDGE}",
    )


def _acknowledged(count: int) -> str:
    return "1, which was acknowledged" if count == 1 else f"{count}, which were acknowledged"


def lost(at: LogCheckpoint, acknowledged: int = 0) -> Finding:
    """Messages that JetStream removed before they were stored; the user has acknowledged the first `acknowledged`."""
    check = "lost messages"
    if at.lost_count == 0:
        return ok(check, "none: every message of the stream was read")
    ranges = [f"{_range(one)} of {one.stream} ({moment.to_text(one.at)})" for one in at.lost[-SHOWN_LOST:]]
    more = "…, " if len(at.lost) > SHOWN_LOST else ""
    one = at.lost_count == 1
    were, they = ("1 message was", "it was") if one else (f"{at.lost_count} messages were", "they were")
    text = f"{were} removed from the stream before {they} read: {more}{', '.join(ranges)}"
    if at.lost_count <= acknowledged:
        return note(check, f"{text}; this was acknowledged")
    return warning(
        check,
        text,
        "have their publishers send them again; see `NATS discard policy`, `NATS max age` and `ingest lag`, and find"
        f" out who deletes from the stream; {ACKNOWLEDGE}",
    )


def _range(lost: Lost) -> str:
    return str(lost.first) if lost.first == lost.last else f"{lost.first} to {lost.last}"


def live_batches(traffic: Traffic | None, subject: str) -> Finding:
    """Whether anybody but ingesters of this log publishes on the subject of live batches."""
    check = "live batches"
    if traffic is None:
        return note(check, "who sends them is unknown without the stream")
    foreign = traffic.unsigned_count + traffic.forged_count
    if not foreign:
        return ok(check, f"{traffic.genuine_count} arrived on {subject}, all from an ingester of this log")
    text = f"{foreign} of {traffic.genuine_count + foreign} messages on {subject} are not from an ingester of this log"
    if traffic.forged_count == 0 and traffic.genuine_count == 0:
        return warning(
            check,
            f"{text}: new events are read from MongoDB, which takes longer",
            "upgrade the ingester; if it has this version, find out who else publishes there",
        )
    return warning(
        check,
        f"{text}: API processes ignore them",
        f"allow only the ingester's NATS user to publish on {subject}, and stop ingesters of other versions or logs",
    )


def rejected(codes: Mapping[str, int]) -> Finding:
    """Messages that were rejected."""
    check = "rejected messages"
    if not codes:
        return ok(check, "none")
    text = ", ".join(f"{name} {n}" for name, n in codes.items())
    return warning(check, text, "see `eventscope rejected list`, then `retry` or `drop` them")


def dropped(record: Dropped | None, acknowledged: int = 0) -> Finding:
    """Rejected messages that were dropped to make room; the user has acknowledged the first `acknowledged`."""
    check = "rejected messages dropped"
    if record is None:
        return ok(check, "none")
    codes = ", ".join(f"{name} {n}" for name, n in record.codes.items())
    since, last = moment.to_text(record.since), moment.to_text(record.last)
    were = "1 was" if record.count == 1 else f"{record.count} were"
    text = f"{were} dropped to make room, between {since} and {last}: {codes}"
    if record.count <= acknowledged:
        return note(check, f"{text}; this was acknowledged")
    return warning(
        check,
        text,
        "fix the publisher that sends them: `eventscope rejected list` shows subjects and reasons; to keep more, raise"
        f" EVENTSCOPE_REJECTED_MAX_BYTES; {ACKNOWLEDGE}",
    )


def _and(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def claims(record: Claims) -> Finding:
    """Whether publishers claim versions that differ from those the log gives."""
    check = "claimed versions"
    if not record.differing:
        return ok(check, f"none of the newest {record.newest:,} events claims a version that the log does not give")
    first, others = list(record.differing.items())[:MOST_NAMES], list(record.differing.values())[MOST_NAMES:]
    parts = [_events(n, _printable(type)) for type, n in first]
    if others:
        parts.append(f"{_events(sum(others))} of {len(others)} other aggregate types")
    claim = "claims a version" if sum(record.differing.values()) == 1 else "claim versions"
    return note(
        check,
        f"of the newest {record.newest:,} events, {_and(parts)} {claim} that the log does not give: a publisher"
        " counts in its own memory",
        "nothing is lost, and the versions in the log are right; have that publisher omit `version`, or state what it"
        " expects in the header Eventscope-Expected-Version",
    )


def _events(n: int, *of: str) -> str:
    return " ".join([f"{n:,}", *of, "event" if n == 1 else "events"])


def _printable(name: str) -> str:
    # a publisher's text, which must not control the terminal
    return name[:MOST_NAME] if name.isprintable() else ascii(name[:MOST_NAME])


def counts(wrong: Sequence[Difference]) -> Finding:
    """Whether a sample of the derived data agrees with the events."""
    check = "derived counts"
    if not wrong:
        return ok(check, "a sample of them agrees with the events")
    differences = "; ".join(str(one) for one in wrong[:MOST_NAMES])
    more = f"; and {len(wrong) - MOST_NAMES} more of a sample" if len(wrong) > MOST_NAMES else ""
    return warning(check, f"{differences}{more}", "run `eventscope recount`, which repairs all of them")


def types(names: Sequence[str]) -> Finding:
    """Whether there are too many types, or types with ids in them; `names` holds the first, sorted by name."""
    check = "event types"
    many, with_ids = len(names) > MOST_TYPES, [type for type in names if any(map(ID.fullmatch, type.split(".")))]
    if not many and len(with_ids) < MOST_ID_TYPES:
        return ok(check, "there is 1" if len(names) == 1 else f"there are {len(names)}")
    text = f"there are over {MOST_TYPES} types" if many else f"there are {len(names)} types"
    if with_ids:
        examples = ", ".join(map(_printable, with_ids[:3]))
        text += f", and {len(with_ids)} of them seem to contain ids, like {examples}"
    return warning(
        check,
        text,
        "put no ids into subjects, or put `type` into the message, or map the words of the subject with"
        " EVENTSCOPE_ENVELOPES: see docs/publishing.md",
    )


def clocks(ahead: Mapping[str, tuple[float, float] | None]) -> Finding:
    """Whether the clocks agree.

    `ahead` gives, for each server, how many seconds its clock is ahead of ours, and the possible error of that.
    Recording times come from NATS; leases and expiry use MongoDB's clock.
    """
    check = "clocks"
    times_by_name = {name: times for name, times in ahead.items() if times is not None}
    if not times_by_name:
        return note(check, "no server reports its time")
    offsets = [
        f"{name} is {abs(seconds):.3f} s {'ahead' if seconds >= 0 else 'behind'} (± {doubt:.3f} s)"
        for name, (seconds, doubt) in times_by_name.items()
    ]
    moments = [(0.0, 0.0), *times_by_name.values()]
    apart = max(abs(a - b) - a_doubt - b_doubt for a, a_doubt in moments for b, b_doubt in moments)
    text = ", ".join(offsets)
    if apart > expiry.MOST_SKEW:
        return broken(
            check,
            f"{text}: counts of expired events are not removed while a clock is so wrong",
            "set the clocks, and synchronise all machines with the same NTP servers; then run"
            " `eventscope recount --dry-run`",
        )
    if apart >= MOST_SKEW:
        return warning(check, text, "synchronise all machines with the same NTP servers")
    return ok(check, text)
