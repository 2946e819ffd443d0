"""A publisher that sends only garbage does not fill the disk, and what was dropped for it is reported everywhere."""

import httpx
import pytest
from nats.aio.client import Client

from eventscope.cli.rejections import show_all
from eventscope.doctor.examine import Options, examine
from eventscope.doctor.finding import Level
from eventscope.errors import CannotStart
from eventscope.settings import Settings, load, variable
from eventscope.store.log import Log
from eventscope.store.rejected import messages, quota
from eventscope.store.state import checkpoint
from tests.support.ingesters import ingester
from tests.support.until import until

MOST = 400_000
GARBAGE = 50_000  # bytes of a message
MANY = 120
SHOWN = "{ log { rejected rejectedDropped { count since last codes { code count } } } }"


async def ask(api: str, query: str) -> dict[str, object]:
    async with httpx.AsyncClient() as http:
        answer = (await http.post(f"{api}/graphql", json={"query": query})).json()
    assert "errors" not in answer
    return dict(answer["data"]["log"])


async def test_garbage_is_bounded_and_reported_and_valid_events_are_stored_meanwhile(
    settings: Settings,
    log: Log,
    client: Client,
    api: str,
    subject_prefix: str,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert await ask(api, SHOWN) == {"rejected": 0, "rejectedDropped": None}
    bounded = settings.model_copy(update={"rejected_max_bytes": MOST, "lease_seconds": 0.5, "batch": 10})

    async def is_bounded() -> bool:
        rows = await log.mongo.aggregate(
            log.rejected, [{"$group": {"_id": None, "n": {"$sum": {"$bsonSize": "$$ROOT"}}}}]
        )
        return bool(rows) and rows[0]["n"] <= MOST

    async with ingester(bounded):
        for n in range(MANY):
            await client.jetstream().publish(f"{subject_prefix}.user.updated", b"{" * GARBAGE)
            if n % 10 == 0:
                await client.jetstream().publish(f"{subject_prefix}.user.updated", b"{}")
        await until(lambda: _reached(log, MANY, MANY // 10))
        await until(is_bounded)
    kept = await messages.numbers(log)
    assert kept == list(range(MANY - len(kept) + 1, MANY + 1))
    assert len(kept) >= MOST * 0.7 / GARBAGE
    found = await quota.dropped(log)
    assert found is not None
    gone = MANY - len(kept)
    assert found.codes == {"INVALID_JSON": gone}
    shown = await ask(api, SHOWN)
    told = shown["rejectedDropped"]
    assert isinstance(told, dict)
    assert shown["rejected"] == len(kept)
    assert told["count"] == gone
    assert told["codes"] == [{"code": "INVALID_JSON", "count": gone}]
    assert told["since"] <= told["last"]
    async with httpx.AsyncClient() as http:
        metrics = (await http.get(f"{api}/metrics")).text
    assert f"eventscope_log_rejected_dropped {float(gone)}" in metrics
    [finding] = [one for one in await examine(settings, Options()) if one.check == "rejected messages dropped"]
    assert finding.level == Level.WARNING
    assert f"INVALID_JSON {gone}" in finding.found
    await show_all(settings, None, 1)
    assert f"{gone} older ones were dropped to make room" in capsys.readouterr().out
    assert "so the oldest were dropped" in caplog.text


async def test_without_a_limit_all_are_kept_and_expire_in_time(
    settings: Settings, log: Log, client: Client, api: str, subject_prefix: str
) -> None:
    await client.jetstream().publish(f"{subject_prefix}.user.updated", b"{")
    async with ingester(settings.model_copy(update={"rejected_max_bytes": 0, "rejected_days": 0.0})):
        await until(lambda: _reached(log, 1, 0))
    [row] = await log.rejected.find({}).to_list(None)
    assert "expireAt" not in row
    await client.jetstream().publish(f"{subject_prefix}.user.updated", b"{")
    async with ingester(settings):
        await until(lambda: _reached(log, 2, 0))
    assert all(["expireAt" in row async for row in log.rejected.find({})])
    async with httpx.AsyncClient() as http:
        query = {"query": "{ rejectedEvents { nodes { recordedAt expiresAt } } }"}
        nodes = (await http.post(f"{api}/graphql", json=query)).json()["data"]["rejectedEvents"]["nodes"]
    assert len(nodes) == 2
    assert all(node["expiresAt"] > node["recordedAt"] for node in nodes)


@pytest.mark.parametrize(
    ("name", "value"), [("rejected_days", "-1"), ("rejected_days", "x"), ("rejected_max_bytes", "-1")]
)
def test_invalid_limits_prevent_the_start(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable(name), value)
    with pytest.raises(CannotStart, match=variable(name)):
        load()


async def _reached(log: Log, rejections: int, head: int) -> bool:
    at = await checkpoint.read(log)
    return at.rejected_head >= rejections and at.head >= head
