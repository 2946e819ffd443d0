"""A NATS whose user lacks permissions: that is reported, and does not look like an outage."""

from collections.abc import Iterator
from typing import Any

import pytest

from eventscope.doctor.examine import Options, examine
from eventscope.doctor.finding import Finding, Level
from eventscope.errors import CannotStart, Unavailable
from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.store.state import lease
from eventscope.subscriptions.nats.client import NatsClient, violations_text
from eventscope.subscriptions.nats.stream import connect, ensure
from eventscope.subscriptions.publish.confirmed import open_confirmed
from tests.support.api_server import running_api
from tests.support.locked_nats import locked_nats
from tests.support.until import until

pytestmark = pytest.mark.processes

USERS = {
    "without_jetstream": {"publish": {"deny": ["$JS.API.>"]}},
    "without_live": {"subscribe": {"deny": ["eventscope.live.>"]}},
    "without_events": {"publish": {"deny": ["secret.>"]}},
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server; in its address, replace USER by one of the users."""
    users: Any = [{"user": user, "password": "pw", "permissions": given} for user, given in USERS.items()]
    with locked_nats(tmp_path_factory.mktemp("users"), authorization={"users": users}) as url:
        yield url.replace("//", "//USER:pw@")


async def examined(settings: Settings) -> dict[str, Finding]:
    return {
        finding.check: finding
        for finding in await examine(settings, Options(nats_seconds=0.3))
        if finding.level is Level.BROKEN
    }


async def test_the_doctor_reports_what_is_not_permitted(settings: Settings, log: Log, url: str) -> None:
    theirs = settings.model_copy(update={"nats_url": url.replace("USER", "without_jetstream")})
    found = await examined(theirs)
    said = 'NATS refuses what Eventscope needs: Permissions Violation for Publish to "$JS.API.INFO"'
    assert found["NATS"].found == found["NATS permissions"].found == said
    assert "docs/operating.md" in found["NATS permissions"].advice


async def test_an_api_that_may_not_receive_live_batches_is_not_ready_and_reports_why(
    settings: Settings, log: Log, url: str
) -> None:
    theirs = settings.model_copy(update={"nats_url": url.replace("USER", "without_live")})
    await lease.acquire(log, "somebody", 600)
    async with running_api(theirs) as api:
        await until(api.services.nats_refusal)
        response = await api.http.get("/readyz")
    words = f'Permissions Violation for Subscription to "eventscope.live.{settings.stream}"'
    assert response.status_code == 503
    assert response.json()["reasons"] == [f"NATS refuses what Eventscope needs: {words}"]


async def test_a_stream_without_permission_is_not_reported_as_a_silent_jetstream(url: str) -> None:
    async with await connect(url.replace("USER", "without_jetstream"), "test") as client:
        with pytest.raises(CannotStart, match=r'NATS refuses .*: Permissions Violation .* "\$JS\.API\.STREAM'):
            await ensure(client.jetstream(timeout=0.3), "EVENTS", ["events.>"])


async def test_publishing_without_permission_is_reported_at_once(url: str) -> None:
    async with (
        await connect(url.replace("USER", "without_events"), "test") as client,
        open_confirmed(client, "EVENTS", ["secret.>"], again_seconds=0.3) as publisher,
    ):
        with pytest.raises(Unavailable, match=r'NATS refuses it: .* Publish to "secret\.user\.created"'):
            await publisher.publish([{"type": "user.created"}], together=False, seconds=60)


async def test_refused_publications_of_clients_are_not_our_trouble_and_are_forgotten_after_a_reconnect(
    url: str,
) -> None:
    async with await connect(url.replace("USER", "without_events"), "test") as client:
        assert isinstance(client, NatsClient)
        for number in range(20):
            await client.publish(f"secret.n{number}", b"")
        await until(lambda: any("n19" in what for what in client.violations))
        assert len(client.violations) == 16
        assert violations_text(client, apart=["secret.>"]) is None
        assert "secret.n19" in str(violations_text(client))
        await client.force_reconnect()
        await until(lambda: not client.violations)
        await until(lambda: client.is_connected)
