"""The page in a real browser that can reach only the server: it works, logs no error and calls no other host."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote_plus, urlencode

import httpx
import pytest
import uvicorn
from nats.aio.client import Client
from playwright.async_api import expect
from starlette import routing
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from eventscope.http.graphiql import BUILT, html, routes, wants_html
from eventscope.http.uvicorn.listen import listen
from eventscope.server.api import config
from eventscope.settings import Settings
from tests.program.support.graphiql_page import Graphiql, opened, shows
from tests.support.clients.browser import PATIENCE, path
from tests.support.requirements import leave_out

pytestmark = pytest.mark.browser


class Until(Protocol):
    async def __call__(self, condition: Callable[[], Awaitable[bool] | bool]) -> bool: ...


@dataclass(frozen=True, slots=True)
class Served:
    """The application as people use it, fed over NATS."""

    url: str
    publish: Callable[[str, dict[str, object]], Awaitable[None]]


@pytest.fixture
def chromium() -> str:
    """The path of a browser on this machine."""
    return path()


@pytest.fixture
def built() -> Path:
    """The folder of the built page."""
    if not (BUILT / "index.html").is_file():
        leave_out("the page was not built; run `make web` with Node 20.19 or newer")
    return BUILT


@asynccontextmanager
async def serving(app: Starlette, until: Until) -> AsyncIterator[str]:
    """Serve the application on a free port; gives its address."""
    server = uvicorn.Server(config(app))
    with listen("127.0.0.1", 0) as listener:
        host, port = listener.getsockname()
        task = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started)
        yield f"http://{host}:{port}"
        server.should_exit = True
        await task


@pytest.fixture
def served(api: str, ingesting: None, client: Client, settings: Settings, until: Until) -> Served:
    """The whole application: API, ingester, and a publisher that knows only a subject."""
    subject = settings.subjects[0].removesuffix(">")

    async def stored(name: str) -> bool:
        question = {"query": f'{{ stats(filter: {{eventTypes: "{name}"}}) {{ totalEvents }} }}'}
        async with httpx.AsyncClient(base_url=api) as asking:
            answer = (await asking.post("/graphql", json=question)).json()
        return bool(answer["data"]["stats"]["totalEvents"])

    async def publish(type: str, data: dict[str, object]) -> None:
        event = {"type": type, "data": data, "aggregateType": "user", "aggregateId": "u-1", "userId": "ada"}
        await client.jetstream().publish(subject + type, json.dumps(event).encode())
        await until(lambda: stored(type))

    return Served(api, publish)


async def test_a_query_is_answered_and_the_explorer_shows_the_fields(
    chromium: str, built: Path, served: Served
) -> None:
    await served.publish("user.created", {"email": "ada@example.com"})
    async with opened(chromium, f"{served.url}/graphql") as page:
        graphiql = Graphiql(page)
        await expect(page).to_have_title("Eventscope")
        await shows(graphiql.explorer, "replay")
        await shows(graphiql.query, "query Recent")
        await graphiql.run()
        await shows(graphiql.answer, '"type": "user.created"')


async def test_a_subscription_shows_events_as_they_arrive_newest_first_until_it_is_stopped(
    chromium: str, built: Path, served: Served
) -> None:
    async with opened(chromium, f"{served.url}/graphql") as page:
        graphiql = Graphiql(page)
        await graphiql.turn_to("Live")
        await graphiql.run()
        await shows(graphiql.answer, '"CaughtUp"')
        await served.publish("vendor.created", {"name": "first"})
        await shows(graphiql.answer, '"first"')
        await served.publish("vendor.updated", {"name": "second"})
        await shows(graphiql.answer, '"second"')
        text = await graphiql.answer.inner_text()
        assert text.index("second") < text.index("first")
        await graphiql.press("Stop query")
        await expect(page.get_by_role("button", name="Execute query")).to_be_visible(timeout=PATIENCE)


async def test_numbers_are_shown_with_the_digits_of_the_answer_and_sent_with_those_in_the_editor(
    chromium: str, built: Path, served: Served
) -> None:
    query = "query Digits($where: [PathCondition!]) { events(filter: {data: $where}) { nodes { data } } }"
    # comments, too, as the editor takes them
    variables = '{"where": [{"path": "account", "eq": 1234567890123456789}], /* all of them */ }'
    question = urlencode({"query": query, "variables": variables})
    numbers: dict[str, object] = {"account": 1234567890123456789, "rate": 1.0, "small": 5e-324}
    await served.publish("user.created", numbers | {"account": 1234567890123456788})
    await served.publish("user.updated", numbers)
    async with opened(chromium, f"{served.url}/graphql?{question}") as page:
        graphiql = Graphiql(page)
        await shows(graphiql.query, "query Digits")
        await graphiql.run()
        await shows(graphiql.answer, '"account": 1234567890123456789')
        text = await graphiql.answer.inner_text()
        assert '"rate": 1.0' in text.replace("\xa0", " ")
        assert "5e-324" in text
        assert "1234567890123456788" not in text


async def test_numbers_keep_their_digits_in_live_events_and_in_variables_of_subscriptions(
    chromium: str, built: Path, served: Served
) -> None:
    query = "subscription Digits($where: [PathCondition!]) { events(filter: {data: $where}) { ... on Event { data } } }"
    variables = '{"where": [{"path": "account", "gte": 1234567890123456789}]}'
    question = urlencode({"query": query, "variables": variables})
    async with opened(chromium, f"{served.url}/graphql?{question}") as page:
        graphiql = Graphiql(page)
        await shows(graphiql.query, "subscription Digits")
        await graphiql.run()
        await expect(page.get_by_role("button", name="Stop query")).to_be_visible(timeout=PATIENCE)
        await shows(graphiql.answer, '"received"')
        await served.publish("user.created", {"account": 1234567890123456788, "rate": 2.0})
        await served.publish("user.updated", {"account": 1234567890123456789, "rate": 2.0})
        await shows(graphiql.answer, '"account": 1234567890123456789')
        text = await graphiql.answer.inner_text()
        assert '"rate": 2.0' in text.replace("\xa0", " ")
        assert "1234567890123456788" not in text


async def test_the_page_shows_why_a_subscription_is_refused(chromium: str, built: Path, served: Served) -> None:
    question = urlencode({"query": 'subscription Lost { events(after: "nonsense") { __typename } }'})
    async with opened(chromium, f"{served.url}/graphql?{question}") as page:
        graphiql = Graphiql(page)
        await shows(graphiql.query, "subscription Lost")
        await graphiql.run()
        await shows(graphiql.answer, '"BAD_USER_INPUT"')
        await expect(page.get_by_role("button", name="Execute query")).to_be_visible(timeout=PATIENCE)


async def test_every_example_tab_has_an_answer_at_once(chromium: str, built: Path, served: Served) -> None:
    await served.publish("user.created", {"email": "ada@example.com"})
    async with opened(chromium, f"{served.url}/graphql") as page:
        graphiql = Graphiql(page)
        await shows(graphiql.query, "query Recent")
        titles = [title.strip() for title in await page.get_by_role("tab").all_inner_texts()]
        assert titles == ["Recent", "OneAggregate", "WhoDidWhat", "Statistics", "Replay", "LogStatus", "Live"]
        for title in titles[:-1]:
            await graphiql.turn_to(title)
            await graphiql.run()
            await shows(graphiql.answer, '"data": {')
            text = await graphiql.answer.inner_text()
            assert "errors" not in text
            assert "null" not in text.split("\n")[2]


async def test_a_link_opens_its_query_in_a_tab_of_its_own(chromium: str, built: Path, served: Served) -> None:
    query = "query Counted($types: [String!]) { stats(filter: {eventTypes: $types}) { totalEvents } }"
    question = urlencode({"query": query, "variables": '{"types": ["nothing.*"]}'})
    address = f"{served.url}/graphql?{question}"
    async with opened(chromium, address) as page:
        graphiql = Graphiql(page)
        await shows(graphiql.query, "query Counted")
        await graphiql.run()
        await shows(graphiql.answer, '"totalEvents": 0')
        await graphiql.press("Copy a link to this query")
        assert await page.evaluate("navigator.clipboard.readText()") == page.url
        assert unquote_plus(page.url) == unquote_plus(address)
        await expect(page.get_by_role("tab")).to_have_count(8)


async def test_an_example_that_was_closed_can_be_opened_again(chromium: str, built: Path, served: Served) -> None:
    async with opened(chromium, f"{served.url}/graphql") as page:
        graphiql = Graphiql(page)
        await graphiql.turn_to("Statistics")
        await page.locator(".graphiql-tab-active").get_by_label("Close Tab").click()
        await expect(page.get_by_role("tab")).to_have_count(6)
        await graphiql.press("Show Examples")
        await page.locator(".examples button", has_text="Statistics").click()
        await shows(graphiql.query, "query Statistics")
        await expect(page.get_by_role("tab")).to_have_count(7)


async def test_a_token_in_the_headers_is_sent_but_never_kept(chromium: str, built: Path, served: Served) -> None:
    async with opened(chromium, f"{served.url}/graphql") as page:
        graphiql = Graphiql(page)
        await shows(graphiql.query, "query Recent")
        await graphiql.press("Headers")
        await page.get_by_role("region", name="Headers").click()
        await page.keyboard.insert_text('{"authorization": "Bearer secret-token"}')
        async with page.expect_request(lambda request: "authorization" in request.headers) as sent:
            await graphiql.run()
        assert (await sent.value).headers["authorization"] == "Bearer secret-token"
        await shows(graphiql.answer, '"data": {')
        await page.wait_for_function("localStorage['graphiql:queries'] && localStorage['graphiql:tabState']")
        assert "query Recent" in await graphiql.kept()
        assert "secret-token" not in await graphiql.kept()


@pytest.mark.processes
async def test_the_plain_page_sends_a_query_and_shows_the_answer(chromium: str, tmp_path: Path, until: Until) -> None:
    async def graphql(request: Request) -> Response:
        if wants_html(request):
            return html(tmp_path)
        return Response(b'{"asked": ' + await request.body() + b"}", media_type="application/json")

    app = Starlette(routes=[*routes(tmp_path), routing.Route("/graphql", graphql, methods=["GET", "POST"])])
    async with serving(app, until) as url, opened(chromium, f"{url}/graphql") as shown:
        await shows(shown.locator("header"), "make web")
        await shown.get_by_label("Query").fill("{ log { head } }")
        await shown.get_by_label("Variables").fill('{"first": 3}')
        await shown.keyboard.press("Control+Enter")
        await shows(shown.locator("output"), '"query": "{ log { head } }"')
        await shows(shown.locator("output"), '"first": 3')
        await shown.get_by_label("Variables").fill('{"account": 1234567890123456789, "rate": 1.0}')
        await shown.get_by_role("button").click()
        await shows(shown.locator("output"), '"account": 1234567890123456789')
        await shows(shown.locator("output"), '"rate": 1.0')
        await shown.get_by_label("Variables").fill("{first: 3}")
        await shown.get_by_role("button").click()
        await shows(shown.locator("output"), "The variables are not JSON")


def test_the_built_page_is_small_and_names_the_licences_of_all_it_bundles(built: Path) -> None:
    assert sum(file.stat().st_size for file in built.rglob("*") if file.is_file()) < 3_000_000
    notice = (built / "third-party.md").read_text()
    for bundled in ("graphiql", "graphiql-explorer", "graphql-ws", "monaco-editor", "react-dom", "prettier"):
        assert f"\n## {bundled} - " in notice
    for font in ("Roboto", "Codicons", "Fira Code"):
        assert f"\n## {font} (" in notice
