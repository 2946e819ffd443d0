"""What operators did to the servers while an ingester runs: it says what stops it, and goes on once that is mended."""

from typing import Any

import orjson
from nats.aio.client import Client

from eventscope.settings import Settings
from eventscope.store.log import Log
from tests.ingesters import ingester, stored
from tests.until import until


async def test_a_message_that_a_unique_index_of_others_refuses_becomes_a_rejection_and_the_rest_goes_on(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    await log.events.create_index("data.email", unique=True, name="emails", sparse=True)
    js = client.jetstream()
    for raw in (
        {"data": {"email": "a"}},
        {"data": {"email": "b"}},
        {"data": {"email": "a"}},
        [{"type": "x", "data": {"email": "c"}}, {"type": "x", "data": {"email": "c"}}],
        {"data": {"email": "d"}},
    ):
        await js.publish(f"{subject_prefix}.user.created", orjson.dumps(raw))
    async with ingester(settings):
        events = await stored(log, 3)
        rejections = await until(lambda: _rejections(log, 2))
    assert [event["data"]["email"] for event in events] == ["a", "b", "d"]
    assert {row["code"] for row in rejections} == {"UNSTORABLE"}
    assert all("unique index emails" in row["reason"] for row in rejections)
    assert {row["source"]["sequence"] for row in rejections} == {3, 4}


async def _rejections(log: Log, n: int) -> list[dict[str, Any]] | None:
    found = await log.rejected.find({}).to_list(None)
    return found if len(found) == n else None
