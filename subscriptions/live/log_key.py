"""The key of a log, as processes know it that hear from ingesters: read when it is needed, and read anew seldom."""

import asyncio
import logging
from typing import Final

from eventscope.errors import EventscopeError
from eventscope.store.log import Log
from eventscope.store.state import secret

SECONDS: Final = 0.1  # from one reading to the next, however much comes that another key has signed

logger = logging.getLogger(__name__)


class LogKey:
    """That of one log."""

    def __init__(self, log: Log) -> None:
        self.value: bytes | None = None
        self._log = log
        self._learned = 0.0

    async def learn(self) -> bool:
        """Read it, unless that was done just now: the first ingester made one, or the log was begun anew.

        Tells whether it is another one now. It stays as it was where MongoDB does not answer.
        """
        now = asyncio.get_running_loop().time()
        if now - self._learned < SECONDS:
            return False
        self._learned = now
        try:
            key = await secret.key(self._log)
        except EventscopeError as error:
            logger.warning("what ingesters say waits for the log: %s", error)
            return False
        changed, self.value = key != self.value, key
        return changed

    def expire(self) -> None:
        """Have it read anew when it is needed next."""
        self._learned = 0.0
