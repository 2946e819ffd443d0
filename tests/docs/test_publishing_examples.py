"""Every Python example of docs/publishing.md runs, against the servers that it names, and does what it says."""

import ast
import asyncio
import itertools
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import nats
import pytest

from eventscope import Event, EventsService
from eventscope.background import end
from eventscope.server.ingester import ingest
from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.subscriptions.nats import stream
from tests.support.api_server import running_api
from tests.support.killable_servers import killable_nats
from tests.support.until import until

PAGE = Path(__file__).parents[2] / "docs/publishing.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an example runs: its code and the names in it, the servers, a service, and what was printed."""

    code: str
    names: dict[str, Any]
    settings: Settings
    service: EventsService
    printed: Callable[[], str]

    async def events(self, count: int) -> list[tuple[str, object]]:
        """Type and data of the events in the log, in log order, once there are that many."""

        async def found() -> list[Event]:
            events = [event async for event in self.service.replay_events()]
            return events if len(events) >= count else []

        return [(event.type, event.data) for event in await until(found)]

    async def user(self, id: str, *names: str) -> None:
        """Publish that this user was created and renamed."""
        for name in names:
            type = "user.created" if name == names[0] else "user.updated"
            await self.service.publish_event(type, {"name": name}, aggregate_type="user", aggregate_id=id)


Check: TypeAlias = Callable[[Place], Awaitable[None]]
CHECKS: dict[str, Check] = {}


def example(mark: str) -> Callable[[Check], Check]:
    """The function checks what the one example with this mark in it does."""

    def known(check: Check) -> Check:
        CHECKS[mark] = check
        return check

    return known


@example("nc.publish(")
async def _(place: Place) -> None:
    nc = await nats.connect(place.settings.nats_url)
    await run(place, nc=nc, json=json)
    [event] = [event async for event in place.service.replay_events()] if await place.events(1) else []
    assert (event.type, event.extensions) == ("user.created", {"id": "42", "name": "Ada"})
    await nc.close()


@example("Nats-Msg-Id")
async def _(place: Place) -> None:
    nc = await nats.connect(place.settings.nats_url)
    await run(place, js=nc.jetstream(), json=json)
    await run(place)
    assert await place.events(1) == [("user.created", {"name": "Ada"})]
    [event] = await place.service.get_events_for_aggregate("user", "42")
    assert (event.id, event.version, event.user_id) == ("signup-42", 1, "admin-7")
    await nc.close()


@example("asyncio.run(main())")
async def _(place: Place) -> None:
    await asyncio.to_thread(exec, place.code, place.names)
    assert place.printed() == "EVENTS 1\n"
    assert await place.events(1) == [("user.created", {"name": "Ada"})]


@example("def sign_up(")
async def _(place: Place) -> None:
    for _ in range(2):
        await place.names["sign_up"]()
    assert place.printed() == "signup-42 1 1\n" * 2


@example("def rename(")
async def _(place: Place) -> None:
    await place.user("42", "Ada")
    names = [f"Ada {n}" for n in range(10)]
    await asyncio.gather(*(place.names["rename"](place.service, "42", name) for name in names))
    _, *renamed = await place.events(11)
    assert sorted(renamed, key=str) == [("user.updated", {"name": name}) for name in names]
    await place.service.publish_event("user.deleted", aggregate_type="user", aggregate_id="42")
    with pytest.raises(LookupError):
        await place.names["rename"](place.service, "42", "Grace")


@example("def merge(")
async def _(place: Place) -> None:
    await place.names["merge"](place.service, "42", "43")
    assert await place.events(2) == [("user.updated", {"merged": "43"}), ("user.deleted", {"reason": "merged"})]


@example("def follow_names(")
async def _(place: Place) -> None:
    names = place.names["names"]
    await place.user("42", "Ada", "Ada Lovelace")
    await place.user("43", "Grace")
    async with task(place.names["follow_names"](place.service)):
        await until(lambda: names == {"42": "Ada Lovelace", "43": "Grace"})
        await place.service.publish_event("user.deleted", aggregate_type="user", aggregate_id="43")
        await until(lambda: names == {"42": "Ada Lovelace"})
    await place.user("44", "Edsger")
    names.clear()
    async with task(place.names["follow_names"](place.service)):
        await until(lambda: names == {"44": "Edsger"})  # it continued where it had stopped


@example("def greet(")
async def _(place: Place) -> None:
    async with task(place.names["greet"](place.service)):
        greeted = ""
        for n in itertools.count():  # until it listens
            await place.user(str(n), "Ada")
            if greeted := greeted or place.printed():
                break
    assert greeted.startswith("Welcome, Ada!\n")


@example("def what_did_they_do(")
async def _(place: Place) -> None:
    for n in range(3):
        await place.service.publish_event("vendor.updated", aggregate_type="vendor", aggregate_id=str(n), user_id="ada")
    did = await place.names["what_did_they_do"](place.service, "ada")
    assert [line.split()[1:] for line in did] == [
        ["vendor.updated", "2"],
        ["vendor.updated", "1"],
        ["vendor.updated", "0"],
    ]
    assert await place.names["what_did_they_do"](place.service, "grace") == []


@example("def busiest(")
async def _(place: Place) -> None:
    await place.user("42", "Ada")
    await place.user("43", "Grace", "Grace Hopper")
    assert await place.names["busiest"](place.service) == [("43", 2), ("42", 1)]


@example("def at_first(")
async def _(place: Place) -> None:
    await place.user("42", "Ada", "Ada Byron", "Ada Lovelace")
    assert await place.names["at_first"](place.service, "42") == {"name": "Ada Byron"}


def test_every_example_is_run_exactly_once() -> None:
    assert [[mark for mark in CHECKS if mark in block] for block in BLOCKS] == [[mark] for mark in CHECKS]


@pytest.fixture
async def place(
    settings: Settings, log: Log, tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> AsyncIterator[Place]:
    """Servers with the default settings, and the example with their addresses in it."""
    async with killable_nats(tmp_path) as server:
        settings = Settings(mongo_url=settings.mongo_url, mongo_database=settings.mongo_database, nats_url=server.url)
        client = await nats.connect(server.url)
        await stream.ensure(client.jetstream(), settings.stream, settings.subjects)
        await client.close()
        async with running_api(settings) as api, task(ingest(settings)):
            url = str(api.http.base_url)
            [code] = [block for block in BLOCKS if request.param in block]
            code = code.replace("nats://127.0.0.1:4222", server.url).replace("http://127.0.0.1:8000", url)
            names: dict[str, Any] = {"__name__": "example"}
            if "def " in code and "asyncio.run" not in code:
                exec(code, names)
            async with EventsService.connect(server.url, url) as service:
                yield Place(code, names, settings, service, lambda: capsys.readouterr().out)


@pytest.mark.parametrize(("place", "check"), CHECKS.items(), ids=CHECKS, indirect=["place"])
async def test_each_example_does_what_the_page_says(place: Place, check: Check) -> None:
    await check(place)


async def run(place: Place, **given: object) -> None:
    """Run statements that may await, with these names defined."""
    place.names.update(given)
    await eval(compile(place.code, str(PAGE), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), place.names)


@asynccontextmanager
async def task(work: Coroutine[Any, Any, object]) -> AsyncIterator[None]:
    """Run the work for the length of the block."""
    running = asyncio.create_task(work)
    try:
        yield
    finally:
        await end(running)
