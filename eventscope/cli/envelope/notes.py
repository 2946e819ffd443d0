"""Notes on probable mistakes in mappings, for which no message is rejected."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eventscope.settings import Settings, variable
from eventscope.store.values import json_text
from eventscope.store.values.message import ENVELOPE, Arrival
from eventscope.subscriptions.messages.envelope import PLAIN, MessageEnvelope
from eventscope.subscriptions.messages.mapping import Mapper
from eventscope.subscriptions.nats.subjects import first_match

EPOCH, UNLIKELY = "1970", "2000"  # hardly any event that is sent today happened between these years


def absent(by_pattern: Mapping[str, MessageEnvelope], arrivals: Iterable[Arrival]) -> dict[int, list[str]]:
    """By `id` of each mapping, notes on sources that none of its messages contains."""
    present: dict[int, set[tuple[str, str]]] = {}
    mappings: dict[int, Mapper] = {}
    for arrival in arrivals:
        mapper = mapping(by_pattern, arrival)
        if mapper is not None:
            mappings[id(mapper)] = mapper
            outer = mapper.outer(arrival)
            for message in _objects(arrival.raw):
                present.setdefault(id(mapper), set()).update(mapper.present(message, outer))
    return {
        key: [
            f"{name} is mapped from {source}, which is in none of these samples"
            for name, source in mappings[key].sources()
            if (name, source) not in sources
        ]
        for key, sources in present.items()
    }


def mapping(by_pattern: Mapping[str, MessageEnvelope], arrival: Arrival) -> Mapper | None:
    """The mapping that applies to the message, or None."""
    envelope = None if arrival.headers.get(ENVELOPE) == PLAIN[ENVELOPE] else first_match(arrival.subject, by_pattern)
    return envelope if isinstance(envelope, Mapper) else None


def notes(
    settings: Settings, by_pattern: Mapping[str, MessageEnvelope], arrival: Arrival, events: Sequence[dict[str, Any]]
) -> list[str]:
    """Notes on one message, and on the events that it would become."""
    texts = []
    if first_match(arrival.subject, dict.fromkeys(settings.subjects, True)) is None:
        texts.append(f"{variable('subjects')} is {','.join(settings.subjects)}, which does not match this subject")
    stated = arrival.headers.get(ENVELOPE) == PLAIN[ENVELOPE]
    if by_pattern and not stated and first_match(arrival.subject, by_pattern) is None:
        texts.append("no pattern matches this subject, so the message is read as plain")
    mapper = mapping(by_pattern, arrival)
    sources = dict(mapper.sources()) if mapper is not None else {}
    for event in events:
        for one, other in (("aggregateId", "aggregateType"), ("aggregateType", "aggregateId")):
            if one in event and other not in event:
                texts.append(f"the event has {one} and no {other}, so it belongs to no aggregate and gets no version")
        if EPOCH <= (at := event.get("timestamp") or "") < UNLIKELY and "timestamp" in sources:
            texts.append(f"the timestamp is {at}, which is long ago: perhaps seconds were read as milliseconds")
        if mapper is not None and "data" not in sources and "data" not in event and event.get("extensions"):
            texts.append('nothing is mapped to data, so the rest is kept as extensions; "data": "" maps all of it')
        if "version" in sources and not {"claimedVersion", "expectedVersion"} & event.keys():
            extensions = event.get("extensions", {})
            kept = "claimedVersion" if "claimedVersion" in extensions else "version"
            if kept in extensions:
                texts.append(f"the mapped version is not an integer, and is kept as extensions.{kept}")
    return list(dict.fromkeys(texts))


def _objects(raw: bytes) -> list[dict[str, Any]]:
    try:
        content = json_text.loads(raw)
    except json_text.Fault:
        return []
    return [one for one in (content if isinstance(content, list) else [content]) if isinstance(one, dict)]
