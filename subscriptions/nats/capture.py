"""How a stream must be configured for a log to be read from it, and which subjects it must never capture."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

from nats import errors
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StreamConfig
from nats.js.errors import APIError

from eventscope.settings import variable
from eventscope.subscriptions.nats.subjects import overlap

# where Eventscope and NATS itself send: an ingester that read this would answer it, and read the answer
RESERVED: Final = ("eventscope.live.>", "_INBOX.>", "$JS.>", "$SYS.>")
PREFIXES: Final = tuple(pattern[:-1] for pattern in RESERVED)


def is_reserved(subject: str) -> bool:
    """Whether messages on that subject are never events."""
    return subject.startswith(PREFIXES)


def reserved(subjects: Sequence[str]) -> list[str]:
    """Which of these patterns capture reserved subjects."""
    return [pattern for pattern in subjects if any(overlap(pattern, one) for one in RESERVED)]


def pattern(subject: str) -> str:
    """The reserved pattern that matches that subject."""
    return next(one for one in RESERVED if subject.startswith(one[:-1]))


async def fault(js: JetStreamContext, stream: str, config: StreamConfig) -> str | None:
    """Why no log can be read from a stream like this, and what to do about it; None if one can."""
    other = f"or name another stream with {variable('stream')}"
    if config.mirror is not None:
        return (
            f"the stream {stream} is a mirror of {config.mirror.name}, and nobody can publish to it: delete it, {other}"
        )
    if config.sealed:
        return f"the stream {stream} is sealed and accepts nothing any more: delete it, {other}"
    if config.retention != RetentionPolicy.LIMITS:
        return (
            f"the stream {stream} has the retention policy {getattr(config.retention, 'value', config.retention)},"
            f" which removes messages before they are stored: create it again with --retention limits, {other}"
        )
    if captured := reserved(config.subjects or []):
        return (
            f"the stream {stream} takes {', '.join(captured)}, where Eventscope and NATS themselves send, so it would"
            f" capture what it causes, without end: remove that with nats stream edit {stream} --subjects …, {other}"
        )
    if capture := await _captured_by_sources(js, stream, config):
        way, last, captured = capture
        return (
            f"the stream {stream} {way}, which takes {', '.join(captured)}, where Eventscope and NATS themselves send:"
            f" remove that from {last}, {other}"
        )
    return None


def doubts(config: StreamConfig) -> str:
    """The settings by which the stream drops messages that may not be stored yet; empty if there are none."""
    limits = {
        "max_age": config.max_age,
        "max_msgs_per_subject": None if config.discard_new_per_subject else config.max_msgs_per_subject,
    }
    settings = [f"{name} {value:g}" for name, value in limits.items() if value is not None and value > 0]
    return ", ".join([*settings, "discard old"] if config.discard != DiscardPolicy.NEW else settings)


async def _captured_by_sources(
    js: JetStreamContext, stream: str, config: StreamConfig
) -> tuple[str, str, list[str]] | None:
    """The nearest direct or indirect source with reserved subjects: the path to it, its name, and those subjects."""
    waiting, visited = deque([("", config)]), {stream}
    while waiting:
        way, config = waiting.popleft()
        for name, relation in _origins(config):
            if name in visited:
                continue
            visited.add(name)
            further = f"{way}, which {relation}" if way else relation
            if (origin := await _config(js, name)) is None:
                continue
            if captured := reserved(origin.subjects or []):
                return further, name, captured
            waiting.append((further, origin))
    return None


def _origins(config: StreamConfig) -> Iterator[tuple[str, str]]:
    """The streams of this account that this stream copies from: their names, and the relation in words."""
    for source in config.sources or []:
        if source.external is None:
            yield source.name, f"has {source.name} as a source"
    if config.mirror is not None and config.mirror.external is None:
        yield config.mirror.name, f"is a mirror of {config.mirror.name}"


async def _config(js: JetStreamContext, name: str) -> StreamConfig | None:
    try:
        return (await js.stream_info(name)).config
    except (errors.Error, APIError, TimeoutError, OSError):
        return None  # gone, or invisible to this account
