"""Text rendered once for many subscribers is, to the byte, what graphql-core and Strawberry would send each of them."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast

import orjson
import pytest

from eventscope.background import cancel
from eventscope.schema import subscription
from eventscope.schema.build import Schema, build
from eventscope.schema.context import Context, Info
from eventscope.schema.live import rendering
from eventscope.schema.outlet import Outlet
from eventscope.schema.types.feed import Delivery, delivery
from eventscope.store.filters.filter import Filter
from eventscope.store.values.documents import plain
from eventscope.subscriptions.live.history import HistoryReader
from tests.subscriptions.support.receivers import Receiver
from tests.support.sample_log import SampleApi
from tests.support.until import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

FEED = "__typename ... on Event {{ {} }} ... on CaughtUp {{ cursor }} ... on RetentionGap {{ after through }}"
PLAIN = "id position cursor type timestamp recordedAt aggregateType aggregateId version userId data metadata expiresAt"


def feed(fields: str, head: str = "subscription", arguments: str = "from: BEGINNING") -> str:
    return f"{head} {{ events({arguments}) {{ {FEED.format(fields)} }} }}"


ASKED: dict[str, tuple[str, dict[str, Any] | None, str | None]] = {
    "plain fields": (feed(PLAIN), None, None),
    "nothing but the type": ("subscription { events(from: BEGINNING) { __typename } }", None, None),
    "aliases and fragments": (
        feed("...f a: id b: type") + " fragment f on Event { id c: data version }",
        None,
        None,
    ),
    "an alias at the root": ("subscription { x: events(from: BEGINNING) { ... on Event { id } } }", None, None),
    "variables": (
        feed(
            "id type @include(if: $with) data @skip(if: $with)",
            "subscription ($f: EventFilter, $with: Boolean!)",
            "filter: $f, from: BEGINNING",
        ),
        {"f": {"eventTypes": ["user.*"], "not": {"userId": "bob"}}, "with": True},
        None,
    ),
    "one of several operations": (
        feed("id", "subscription A") + feed("type", "subscription B"),
        {},
        "B",
    ),
    "fields with resolvers": (
        feed("id aggregate { version } cause { id type } effects(first: 2) { nodes { id } totalCount { atLeast } }"),
        None,
        None,
    ),
    "an error in a nullable field": (feed("id aggregate { events(first: 5000) { nodes { id } } }"), None, None),
    "an error that leaves nothing": (feed("id effects(first: 5000) { nodes { id } }"), None, None),
}


@pytest.fixture(scope="module", params=[True, False], ids=["compiled", "not compiled"])
def schema(request: pytest.FixtureRequest) -> Schema:
    return build(compiled=request.param)


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
async def test_the_rendered_text_equals_what_strawberry_sends(
    sample: SampleApi,
    schema: Schema,
    asked: tuple[str, dict[str, Any] | None, str | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    query, variables, name = asked
    services = sample.api.services
    sink = Receiver()
    wanted: list[str] = []
    async with asyncio.timeout(60):
        with monkeypatch.context() as patch:
            patch.setattr(subscription, "_events", _one_by_one)
            results = await schema.stream(query, variables, Context(services), operation_name=name)
            async with aclosing(cast("Any", results)):
                async for result in results:
                    wanted.append(_written(result))
                    if len(wanted) == 60:
                        break
        outlet = Outlet(sink, query, variables, name)
        shared = await schema.stream(query, variables, Context(services, outlet), operation_name=name)
        following = asyncio.create_task(cast("Any", anext(aiter(shared))))
        await until(lambda: len(sink.texts) >= 60)
        await cancel(following)
        await cast("Any", shared).aclose()
    assert len(wanted) == 60
    assert [_settled(text) for text in sink.texts[:60]] == [_settled(text) for text in wanted]


STARTS = {
    "where to begin is nobody else's matter": (
        "subscription ($a: String, $f: EventFilter) { events(after: $a, filter: $f) { __typename } }",
        {"a"},
    ),
    "where to begin, twice": ("subscription ($a: String) { events(after: $a) { __typename } }", {"a"}),
    "a variable that is used elsewhere too": (
        "subscription ($a: String) { events(after: $a) { ... on Event { effects(after: $a) { nodes { id } } } } }",
        set(),
    ),
    "one that is used in a fragment": (
        "subscription ($a: String) { events(after: $a) { ...f } }"
        " fragment f on Event { effects(after: $a) { nodes { id } } }",
        set(),
    ),
    "the named start": ("subscription ($s: StartFrom) { events(from: $s) { __typename } }", {"s"}),
    "one that is not used": ("subscription { events { __typename } }", set()),
}


@pytest.mark.parametrize("asked", STARTS.values(), ids=STARTS)
async def test_variables_that_only_say_where_to_start_make_no_difference(
    schema: Schema, asked: tuple[str, set[str]]
) -> None:
    query, starts = asked
    outlets = [Outlet(Receiver(), query, {"a": cursor, "s": "NOW", "f": {}}, None) for cursor in ("e1", "e2")]
    keys = [rendering.key(rendering.prepared(schema, one), one) for one in outlets]
    assert rendering.starts(rendering.prepared(schema, outlets[0]), None) == starts
    assert (keys[0] == keys[1]) == ("a" in starts)


async def test_rights_distinguish_subscriptions(schema: Schema) -> None:
    query = "subscription { events { __typename } }"
    keys = {
        rendering.key(rendering.prepared(schema, one), one)
        for one in (Outlet(Receiver(), query, None, None, rights) for rights in ((), ("a",), ("b",), ("a",)))
    }
    assert len(keys) == 3


async def test_variables_of_any_size_distinguish_subscriptions(schema: Schema) -> None:
    query = "subscription ($f: EventFilter) { events(filter: $f) { __typename } }"
    outlets = [Outlet(Receiver(), query, {"f": {"fromVersion": n}}, None) for n in (2**70, 2**70 + 1, 1.0, 1, True)]
    assert len({rendering.key(rendering.prepared(schema, one), one) for one in outlets}) == 5


async def _one_by_one(info: Info, filter: Filter, position: int) -> AsyncGenerator[Delivery, None]:
    """The history as deliveries, each of which graphql-core and Strawberry execute for one subscriber alone."""
    log = info.context.services.log
    async for item in HistoryReader(log, filter, position).read(lambda: None):
        yield delivery(item, log.identity.tag)
        info.context.renew()


def _written(result: Any) -> str:
    payload = {"data": result.data}
    if result.errors:
        payload["errors"] = [error.formatted for error in result.errors]
    return orjson.dumps(payload, default=plain).decode()


def _settled(text: str) -> str:
    return re.sub(r"[0-9a-f]{32}", "ID", text)
