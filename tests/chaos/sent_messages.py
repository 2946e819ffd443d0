"""What publishers know: each message that they sent, JetStream's acknowledgements, and the ingester's replies."""

from dataclasses import dataclass
from typing import Any

import orjson

from eventscope.subscriptions.publish.outcome import PublishRejection, StoredEvent


@dataclass(frozen=True, slots=True)
class Published:
    """One message, which may have been sent several times. No other one has the same bytes.

    `sendings` is how often it may have arrived. `certain` is how many of its arrivals JetStream acknowledged and cannot
    have lost, `doubtful` how many it acknowledged and may itself have lost together with its last messages. `refusable`
    names the codes with which it may rightly be rejected, and `expected` the version that it expects of its aggregate.
    """

    sender: str
    number: int
    raw: bytes
    sendings: int = 1
    certain: int = 1
    doubtful: int = 0
    refusable: frozenset[str] = frozenset()
    expected: int | None = None
    answers: tuple[list[StoredEvent] | PublishRejection, ...] = ()

    @property
    def name(self) -> str:
        """Its name in findings."""
        return f"message {self.number} of {self.sender}"

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events in it; empty if it is not JSON."""
        try:
            content = orjson.loads(self.raw)
        except orjson.JSONDecodeError:
            return []
        members = content if isinstance(content, list) else [content]
        return members if all(isinstance(member, dict) for member in members) else []
