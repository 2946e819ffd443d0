"""Seals like those of an ingester of the log, for tests that do its work."""

from itertools import count

from eventscope.store.log import Log
from eventscope.store.state import secret
from eventscope.subscriptions.live.seal import Seal

TERM = 1_000  # later than that of any ingester that a test runs beside
numbers = count(1, 1_000)


async def seal_of(log: Log) -> Seal:
    """A seal whose messages count as later than those of all earlier seals."""
    return Seal(await secret.ensure(log), TERM, log.identity.name, next(numbers))
