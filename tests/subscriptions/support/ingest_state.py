"""How far an ingester is, what became of each message, and what it reports of itself."""

import httpx

from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.store.state import checkpoint
from eventscope.store.state.checkpoint import LogCheckpoint
from tests.support.until import until


async def until_at(log: Log, sequence: int, seconds: float = 60.0) -> LogCheckpoint:
    """Wait until the log has the stream up to exactly this sequence; returns the checkpoint."""

    async def there() -> LogCheckpoint | None:
        at = await checkpoint.read(log)
        return at if at.stream_position is not None and at.stream_position.sequence == sequence else None

    at = await until(there, seconds)
    assert at is not None
    return at


async def outcomes(log: Log, count: int, seconds: float = 60.0) -> dict[int, str]:
    """What became of each sequence, once the log has this many of them: `event`, or the code of the rejection.

    The events must have dense positions, in the order of the stream, and no message may be stored twice.
    """
    await until_at(log, count, seconds)
    events = await log.events.find({}, {"source": 1}).sort("_id", 1).to_list(None)
    assert [event["_id"] for event in events] == list(range(1, len(events) + 1))
    sequences = [event["source"]["sequence"] for event in events]
    assert sequences == sorted(sequences)
    rows = [(sequence, "event") for sequence in sequences]
    rows += [(row["source"]["sequence"], row["code"]) async for row in log.rejected.find({}, {"source": 1, "code": 1})]
    found: dict[int, str] = {}
    for sequence, outcome in rows:
        assert sequence not in found, f"{sequence} is stored twice"
        found[sequence] = outcome
    assert sorted(found) == list(range(1, count + 1))
    return found


def error_id(reason: str) -> str:
    """The id in the reason of a rejection under which the log of the process has the error."""
    [id] = [word for word in reason.split() if len(word) == 32]
    return id


async def trouble(settings: Settings) -> str:
    """Why the ingester is not ready; empty when it is ready."""
    async with httpx.AsyncClient() as http:
        try:
            answer = await http.get(f"http://127.0.0.1:{settings.ingest_port}/readyz")
        except httpx.TransportError:
            return "it does not answer yet"
    return "" if answer.status_code == 200 else str(answer.json()["reasons"][0])


async def until_stopped(settings: Settings, sentence: str) -> None:
    """Wait until the ingester reports that this stops it."""

    async def said() -> bool:
        return sentence in await trouble(settings)

    await until(said)


async def until_ready(settings: Settings) -> None:
    """Wait until nothing stops the ingester."""

    async def well() -> bool:
        return await trouble(settings) == ""

    await until(well)
