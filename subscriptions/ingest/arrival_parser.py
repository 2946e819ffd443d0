"""Parsing arrivals by the settings of their subjects: a message that cannot be parsed becomes a rejection."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from eventscope.errors import log_unexpected
from eventscope.store.values.message import Arrival, ParsedMessage, RejectedMessage
from eventscope.subscriptions.ingest.kept_headers import KeptHeaders
from eventscope.subscriptions.ingest.poison import is_unreadable, unreadable
from eventscope.subscriptions.messages.envelope import MessageEnvelope
from eventscope.subscriptions.messages.parse import parse_message
from eventscope.subscriptions.messages.versions import VersionUse
from eventscope.subscriptions.nats.capture import is_reserved
from eventscope.subscriptions.nats.subjects import first_match, type_of

CACHED: Final = 10_000  # subjects whose settings are cached


@dataclass(slots=True)
class ArrivalParser:
    """The parser of one stream. `reject_reserved` returns the rejection of what is on a reserved subject, or raises."""

    stream: str
    subjects: Sequence[str]
    envelopes: Mapping[str, MessageEnvelope]
    message_version: Mapping[str, VersionUse]
    kept_headers: KeptHeaders
    reject_reserved: Callable[[Arrival], RejectedMessage]
    _settings: dict[str, tuple[str | None, MessageEnvelope | None, VersionUse]] = field(default_factory=dict)

    def parse(self, arrival: Arrival) -> ParsedMessage:
        """The message, or its rejection. Raises Blocked, from `reject_reserved`."""
        if is_reserved(arrival.subject):
            return self.reject_reserved(arrival)
        if is_unreadable(arrival):
            return unreadable(arrival, self.stream, "its subject is not UTF-8")
        try:
            return self._parse(arrival)
        except MemoryError:  # not the fault of the message
            raise
        except Exception as error:  # a defect of ours, which must not stop the log for all others
            return unreadable(arrival, self.stream, f"reading it failed; errorId {log_unexpected(error)} finds out why")

    def _parse(self, arrival: Arrival) -> ParsedMessage:
        settings = self._settings.get(arrival.subject)
        if settings is None:
            settings = (
                type_of(arrival.subject, self.subjects),
                first_match(arrival.subject, self.envelopes),
                first_match(arrival.subject, self.message_version) or "claim",
            )
            if len(self._settings) < CACHED:
                self._settings[arrival.subject] = settings
        type, envelope, use = settings
        return self.kept_headers.add_to(parse_message(arrival, self.stream, type, envelope, use))
