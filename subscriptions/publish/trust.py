"""Which answers to a publisher are true: anybody on NATS may publish to the inbox where it waits.

With the log's key, an answer is true if an ingester of the log sealed it for exactly the message that was published.
Without it, an answer is accepted if it can be read and is about its events, and a forged one cannot be recognized.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from nats.aio.msg import Msg

from eventscope.subscriptions.live import seal
from eventscope.subscriptions.messages.headers import REPLY_SEALED
from eventscope.subscriptions.publish import outcome
from eventscope.subscriptions.publish.outcome import PublishRejection, StoredEvent

if TYPE_CHECKING:  # it loads the MongoDB driver, which services that only publish do without
    from eventscope.subscriptions.live.log_key import LogKey

LOG_SECONDS: Final = 10.0  # between two log lines, however much is sent

logger = logging.getLogger(__name__)

Answer = list[StoredEvent] | PublishRejection


@dataclass(slots=True)
class AnswerTrust:
    """Decides for a publisher. `on_distrust` is called with the reason for each answer that is dropped."""

    key: "LogKey | None"
    on_distrust: Callable[[str], None] = lambda reason: None
    _logged_at: float = field(default=float("-inf"), init=False)

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers that request answers of the kind that is accepted here."""
        return {} if self.key is None else {REPLY_SEALED: "1"}

    async def answer(self, message: Msg, payload: bytes, ids: Sequence[str] | None = None) -> Answer | None:
        """The answer to what was published as `payload`; None if it is not to be trusted.

        `ids` are those of the events, where they are known: without the key, the answer must be about them.
        """
        reason = await self._fault(message, payload)
        if reason is None:
            try:
                answer = outcome.decode(message.data)
            except (ValueError, KeyError, TypeError):
                reason = "malformed"
            else:
                if self.key is not None or ids is None or outcome.is_about(answer, ids):
                    return answer
                reason = "foreign"
        self.on_distrust(reason)
        now = asyncio.get_running_loop().time()
        if now - self._logged_at > LOG_SECONDS:
            self._logged_at = now
            logger.warning("a message on %s is not the answer of an ingester of this log (%s)", message.subject, reason)
        return None

    async def _fault(self, message: Msg, payload: bytes) -> str | None:
        if self.key is None:
            return None
        if not seal.is_sealed(message.data):
            return "unsigned"
        if not self._is_genuine(message, payload):
            await self.key.learn()
            if not self._is_genuine(message, payload):
                return "forged"
        return None

    def _is_genuine(self, message: Msg, payload: bytes) -> bool:
        key = None if self.key is None else self.key.value
        return key is not None and seal.is_genuine_answer(message.data, message.subject, payload, key)
