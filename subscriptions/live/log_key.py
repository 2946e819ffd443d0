"""The key of a log, for processes that check the seals of ingesters: read when needed, and seldom again."""

import asyncio
import logging
from typing import Final

from eventscope.errors import EventscopeError
from eventscope.store.log import Log
from eventscope.store.state import secret

SECONDS: Final = 0.1  # between two reads, however many messages another key has signed

logger = logging.getLogger(__name__)


class LogKey:
    """The key of one log; None until it is read, and while there is none."""

    def __init__(self, log: Log) -> None:
        self.value: bytes | None = None
        self._log = log
        self._read_at = 0.0

    async def learn(self) -> bool:
        """Read the key, unless that was done just now: an ingester may have created it, or the log was replaced.

        True if it changed. It stays as it was if MongoDB does not answer.
        """
        now = asyncio.get_running_loop().time()
        if now - self._read_at < SECONDS:
            return False
        self._read_at = now
        try:
            key = await secret.key(self._log)
        except EventscopeError as error:
            logger.warning("messages of ingesters cannot be checked until the log can be read: %s", error)
            return False
        changed, self.value = key != self.value, key
        return changed

    def expire(self) -> None:
        """Have the next `learn` read it in any case."""
        self._read_at = 0.0
