"""What a stream must be like for a log to be read from it, and what it must never take in."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

from nats import errors
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StreamConfig
from nats.js.errors import APIError

from eventscope.settings import variable
from eventscope.subscriptions.nats.subjects import overlap

# where Eventscope and NATS itself send: an ingester that read it would answer it, and read the answer
RESERVED: Final = ("eventscope.live.>", "_INBOX.>", "$JS.>", "$SYS.>")
PREFIXES: Final = tuple(pattern[:-1] for pattern in RESERVED)


def is_reserved(subject: str) -> bool:
    """Whether what comes there is never an event."""
    return subject.startswith(PREFIXES)


def reserved(subjects: Sequence[str]) -> list[str]:
    """Which of these patterns take in what is never an event."""
    return [pattern for pattern in subjects if any(overlap(pattern, one) for one in RESERVED)]


def pattern(subject: str) -> str:
    """The reserved pattern that takes that subject."""
    return next(one for one in RESERVED if subject.startswith(one[:-1]))


async def fault(js: JetStreamContext, stream: str, config: StreamConfig) -> str | None:
    """Why no log can be read from a stream like this, and what to do about it; None when one can."""
    other = f"or name another stream with {variable('stream')}"
    if config.mirror is not None:
        return (
            f"the stream {stream} is a mirror of {config.mirror.name}, which nobody can publish to: delete it, {other}"
        )
    if config.sealed:
        return f"the stream {stream} is sealed and takes nothing any more: delete it, {other}"
    if config.retention != RetentionPolicy.LIMITS:
        return (
            f"the stream {stream} has the retention policy {getattr(config.retention, 'value', config.retention)}, by"
            f" which messages go before they are stored: make it anew with --retention limits, {other}"
        )
    if taken := reserved(config.subjects or []):
        return (
            f"the stream {stream} takes {', '.join(taken)}, where Eventscope and NATS themselves send, so it would take"
            f" in what it causes, without end: take that out with nats stream edit {stream} --subjects …, {other}"
        )
    if found := await _by_sources(js, stream, config):
        way, last, taken = found
        return (
            f"the stream {stream} {way}, which takes {', '.join(taken)}, where Eventscope and NATS themselves send:"
            f" take that out of {last}, {other}"
        )
    return None


def doubts(config: StreamConfig) -> str:
    """By which settings the stream forgets messages that may not be stored yet; empty when by none."""
    limits = {
        "max_age": config.max_age,
        "max_msgs_per_subject": None if config.discard_new_per_subject else config.max_msgs_per_subject,
    }
    found = [f"{name} {value:g}" for name, value in limits.items() if value is not None and value > 0]
    return ", ".join([*found, "discard old"] if config.discard != DiscardPolicy.NEW else found)


async def _by_sources(js: JetStreamContext, stream: str, config: StreamConfig) -> tuple[str, str, list[str]] | None:
    """The nearest source, or source of one, that takes what is reserved: the way to it in words, its name, and that."""
    waiting, seen = deque([("", config)]), {stream}
    while waiting:
        way, config = waiting.popleft()
        for name, said in _origins(config):
            if name in seen:
                continue
            seen.add(name)
            further = f"{way}, which {said}" if way else said
            if (of_origin := await _config(js, name)) is None:
                continue
            if taken := reserved(of_origin.subjects or []):
                return further, name, taken
            waiting.append((further, of_origin))
    return None


def _origins(config: StreamConfig) -> Iterator[tuple[str, str]]:
    """The streams of this account that it copies from, by name, and how."""
    for source in config.sources or []:
        if source.external is None:
            yield source.name, f"has {source.name} as a source"
    if config.mirror is not None and config.mirror.external is None:
        yield config.mirror.name, f"is a mirror of {config.mirror.name}"


async def _config(js: JetStreamContext, name: str) -> StreamConfig | None:
    try:
        return (await js.stream_info(name)).config
    except (errors.Error, APIError, TimeoutError, OSError):
        return None  # gone, or not to be seen by us
