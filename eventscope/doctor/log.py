"""What `eventscope doctor` thinks of the log itself: who writes it, how far it is, what it could not take."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from eventscope.doctor.finding import Finding, broken, note, ok, warning
from eventscope.store.incidents import Incidents
from eventscope.store.recount.wrong import Wrong
from eventscope.store.rejected.room import Dropped
from eventscope.store.state.checkpoint import LogCheckpoint
from eventscope.store.state.stopped import Stopped
from eventscope.store.stats import expiry
from eventscope.store.stats.claims import Claims
from eventscope.store.values import moment
from eventscope.store.values.message import Lost
from eventscope.subscriptions.ingest.lag import Lag
from eventscope.subscriptions.live.traffic import Traffic

ACKNOWLEDGE: Final = "once that is dealt with, `eventscope doctor --acknowledge`"
MOST_SKEW: Final = 1.0  # seconds
MOST_LAG: Final = 10.0
SHOWN_LOST: Final = 5  # ranges of lost messages
MOST_TYPES: Final = 1_000
IDS: Final = 10  # types with ids in them, from which on it is no accident
# a number, a UUID, or hexadecimal digits of its length or more
ID: Final = re.compile(r"\d+|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|(?=.*\d)[0-9a-fA-F]{16,}")
MOST_NAMES: Final = 10
MOST_NAME: Final = 60


def ingester(at: LogCheckpoint, last: Stopped | None = None) -> Finding:
    """Whether somebody writes the log; `last` is what one said that runs and cannot."""
    check = "ingester"
    if at.lease_held:
        return ok(check, f"{at.holder} is at work, the log is at position {at.head}")
    if last is not None:
        found, _, advice = last.reason.partition(": ")
        return broken(check, f"{last.holder} runs and cannot go on: {found}", advice or "look at its log")
    if at.term == 0:
        return warning(check, "no ingester has ever been at work", "start `eventscope serve` or `eventscope ingest`")
    return broken(
        check,
        f"no ingester is at work, the log stays at position {at.head}: new events wait in NATS",
        "start `eventscope serve` or `eventscope ingest`, and look at its log if one is running",
    )


def agreement(trouble: str | None) -> Finding:
    """Whether the collections belong together."""
    check = "log collections"
    if trouble is None:
        return ok(check, "they agree with each other")
    found, _, advice = trouble.partition(": ")
    return broken(check, found, advice)


def lag(found: Lag | None) -> Finding:
    """How far the log is behind the stream."""
    check = "ingest lag"
    if found is None:
        return note(check, "how far the log is behind cannot be told without the stream")
    if found.events == 0:
        return ok(check, "all that the stream has is stored")
    are = "1 message is" if found.events == 1 else f"{found.events} messages are"
    said = f"{are} not stored yet, the oldest for {found.seconds:.1f} s"
    if found.seconds > MOST_LAG:
        return warning(check, said, "look at the log of the ingester, and at eventscope_ingest_errors_total")
    return ok(check, said)


def source(at: LogCheckpoint) -> Finding:
    """Whether the stream is the one it was."""
    check = "source resets"
    if at.source_resets == 0:
        return ok(check, "the stream has always been the same")
    times = "once" if at.source_resets == 1 else f"{at.source_resets} times"
    return note(
        check,
        f"{times} the stream was made anew or had lost its tail, and was read from its start",
        "where nobody made it anew, see what `NATS sync` and `NATS replicas` say",
    )


def incidents(found: Incidents) -> Finding:
    """What happened that nothing else shows."""
    check = "incidents"
    if not found.count:
        return ok(check, "none")
    new = found.count - found.acknowledged
    shown = found.last[-SHOWN_LOST:] if new <= 0 else found.last[-min(new, SHOWN_LOST) :]
    said = "; ".join(f"{moment.to_text(one.at)}: {one.said}" for one in shown)
    if new <= 0:
        return note(check, f"{_acknowledged(found.count)}, the last at {said}")
    more = "…; " if new > len(shown) else ""
    return warning(
        check,
        f"{more}{said}",
        f"what was not stored is gone: have its publishers send it again; {ACKNOWLEDGE}",
    )


def _acknowledged(count: int) -> str:
    return "1, which was acknowledged" if count == 1 else f"{count}, which were acknowledged"


def lost(at: LogCheckpoint, acknowledged: int = 0) -> Finding:
    """What JetStream forgot before it was stored, and how many of these messages were acknowledged to be lost."""
    check = "lost messages"
    if at.lost_count == 0:
        return ok(check, "none: all that the stream held was read")
    ranges = [f"{_range(one)} of {one.stream} ({moment.to_text(one.at)})" for one in at.lost[-SHOWN_LOST:]]
    more = "…, " if len(at.lost) > SHOWN_LOST else ""
    one = at.lost_count == 1
    were, they = ("1 message was", "it was") if one else (f"{at.lost_count} messages were", "they were")
    said = f"{were} removed from the stream before {they} read: {more}{', '.join(ranges)}"
    if at.lost_count <= acknowledged:
        return note(check, f"{said}; that was acknowledged")
    return warning(
        check,
        said,
        "have their publishers send them again; see what `NATS discard policy`, `NATS max age` and the lag say, and "
        f"who deletes from the stream; {ACKNOWLEDGE}",
    )


def _range(lost: Lost) -> str:
    return str(lost.first) if lost.first == lost.last else f"{lost.first} to {lost.last}"


def live_batches(found: Traffic | None, subject: str) -> Finding:
    """Whether others than ingesters of this log speak where API processes listen."""
    check = "live batches"
    if found is None:
        return note(check, "who sends them cannot be told without the stream")
    strange = found.unsigned + found.forged
    if not strange:
        return ok(check, f"{found.genuine} were heard on {subject}, all of an ingester of this log")
    said = f"{strange} of {found.genuine + strange} messages on {subject} are of no ingester of this log"
    if found.forged == 0 and found.genuine == 0:
        return warning(
            check,
            f"{said}: what is new is read from MongoDB, which takes longer",
            "upgrade the ingester; if it is of this version, find out who else publishes there",
        )
    return warning(
        check,
        f"{said}: API processes do not look at them",
        f"let NATS users but the ingester's not publish on {subject}, and stop ingesters of other versions or logs",
    )


def rejected(codes: Mapping[str, int]) -> Finding:
    """What could not be taken."""
    check = "rejected messages"
    if not codes:
        return ok(check, "none")
    found = ", ".join(f"{name} {n}" for name, n in codes.items())
    return warning(check, found, "look with `eventscope rejected list`, then `retry` or `drop` them")


def dropped(found: Dropped | None, acknowledged: int = 0) -> Finding:
    """What could not be taken and could not be kept either, and how many of these messages that was acknowledged of."""
    check = "rejected messages dropped"
    if found is None:
        return ok(check, "none")
    codes = ", ".join(f"{name} {n}" for name, n in found.codes.items())
    since, last = moment.to_text(found.since), moment.to_text(found.last)
    were = "1 was" if found.count == 1 else f"{found.count} were"
    said = f"{were} dropped for want of room, between {since} and {last}: {codes}"
    if found.count <= acknowledged:
        return note(check, f"{said}; that was acknowledged")
    return warning(
        check,
        said,
        "mend the publisher that sends them: `eventscope rejected list` has subjects and reasons; if all are worth "
        f"keeping, raise EVENTSCOPE_REJECTED_MAX_BYTES; {ACKNOWLEDGE}",
    )


def _and(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def claims(found: Claims) -> Finding:
    """Whether publishers count versions as the log does."""
    check = "claimed versions"
    if not found.differing:
        return ok(check, f"none of the newest {found.newest:,} events claims a version that the log does not give")
    first, others = list(found.differing.items())[:MOST_NAMES], list(found.differing.values())[MOST_NAMES:]
    parts = [_events(n, _shown(of)) for of, n in first]
    if others:
        parts.append(f"{_events(sum(others))} of {len(others)} other aggregate types")
    claim = "claims a version" if sum(found.differing.values()) == 1 else "claim versions"
    return note(
        check,
        f"of the newest {found.newest:,} events, {_and(parts)} {claim} that the log does not give: a publisher"
        " counts in its own memory",
        "nothing is lost, and the versions of the log are right; let that publisher leave `version` out, or state what"
        " it expects in the header Eventscope-Expected-Version",
    )


def _events(n: int, *of: str) -> str:
    return " ".join([f"{n:,}", *of, "event" if n == 1 else "events"])


def _shown(name: str) -> str:
    # anybody's text, which must not be able to steer a terminal
    return name[:MOST_NAME] if name.isprintable() else ascii(name[:MOST_NAME])


def counts(wrong: Sequence[Wrong]) -> Finding:
    """Whether a sample of what is derived is what the events give."""
    check = "derived counts"
    if not wrong:
        return ok(check, "a sample of them is what the events give")
    told = "; ".join(str(one) for one in wrong[:MOST_NAMES])
    more = f"; and {len(wrong) - MOST_NAMES} more of a sample" if len(wrong) > MOST_NAMES else ""
    return warning(check, f"{told}{more}", "run `eventscope recount`, which puts all of them right")


def types(found: Sequence[str]) -> Finding:
    """Whether types are kinds of event, or have ids in them: `found` are the first ones, by name."""
    check = "event types"
    many, with_ids = len(found) > MOST_TYPES, [type for type in found if any(map(ID.fullmatch, type.split(".")))]
    if not many and len(with_ids) < IDS:
        return ok(check, "there is 1" if len(found) == 1 else f"there are {len(found)}")
    said = f"there are over {MOST_TYPES} types" if many else f"there are {len(found)} types"
    if with_ids:
        examples = ", ".join(map(_shown, with_ids[:3]))
        said += f", and {len(with_ids)} of them look as if they had ids in them, like {examples}"
    return warning(
        check,
        said,
        "put no ids into subjects, or give `type` in the message, or map the words of the subject by "
        "EVENTSCOPE_ENVELOPES: see docs/publishing.md",
    )


def clocks(ahead: Mapping[str, tuple[float, float] | None]) -> Finding:
    """How far the clocks of the servers are apart from ours: name → seconds ahead, and by how much that may be wrong.

    Times of recording are those of NATS; leases and expiry go by MongoDB. Far apart, one of them must be wrong.
    """
    check = "clocks"
    known = {name: times for name, times in ahead.items() if times is not None}
    if not known:
        return note(check, "no server tells its time")
    told = [
        f"{name} is {abs(seconds):.3f} s {'ahead' if seconds >= 0 else 'behind'} (± {doubt:.3f} s)"
        for name, (seconds, doubt) in known.items()
    ]
    moments = [(0.0, 0.0), *known.values()]
    apart = max(abs(a - b) - a_doubt - b_doubt for a, a_doubt in moments for b, b_doubt in moments)
    found = ", ".join(told)
    if apart > expiry.MOST_SKEW:
        return broken(
            check,
            f"{found}: counts of expired events are not tidied up while a clock is that wrong",
            "set the clocks, and let every machine take its time from the same NTP servers; then see what"
            " `eventscope recount --dry-run` says",
        )
    if apart >= MOST_SKEW:
        return warning(check, found, "let every machine take its time from the same NTP servers")
    return ok(check, found)
