"""MongoDB returns the fields that a selection needs, and no others."""

import pytest

from eventscope.schema import sources
from eventscope.schema.build import build
from eventscope.schema.compiled.selection import FREE, NEEDED
from tests.support.sample_log import SampleApi

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAGE = "{{ events(first: 5) {{ {} }} }}"


async def read(sample: SampleApi, query: str) -> list[dict[str, int] | None]:
    """The projections with which events are read to answer the query."""
    database = sample.log.mongo.database
    await database.command("profile", 2)
    try:
        await sample.api.ask(query)
    finally:
        await database.command("profile", 0)
        rows = await database["system.profile"].find({"ns": f"{database.name}.events"}).sort("ts", 1).to_list(None)
        await database.drop_collection("system.profile")
    return [row["command"].get("projection") for row in rows if "find" in row.get("command", {})]


@pytest.mark.parametrize(
    ("selection", "fields"),
    [
        ("nodes { id }", {"messageId"}),
        ("edges { cursor node { type timestamp } }", {"type", "timestamp"}),
        ("edges { cursor } pageInfo { endCursor } coverage { complete }", set()),
        ("nodes { ...one } ", {"userId", "data"}),
        ("nodes { a: userId b: userId ... on Event { ... { expiresAt } } }", {"userId", "expireAt"}),
        ("nodes { id @skip(if: true) metadata @include(if: false) }", {"messageId", "metadata"}),
        ("nodes { aggregate { id } }", {"aggregateType", "aggregateId"}),
        ("nodes { cause { data } }", {"causationId"}),
    ],
)
async def test_exactly_what_is_selected_is_read(sample: SampleApi, selection: str, fields: set[str]) -> None:
    query = PAGE.format(selection) + (" fragment one on Event { userId data }" if "...one" in selection else "")
    [first, *_] = await read(sample, query)
    assert first is not None
    assert set(first) == {"_id", *fields}


@pytest.mark.parametrize(
    "query",
    [
        "{ replay(first: 5) { nodes { version } } }",
        '{ event(id: "m010") { version } }',
        '{ aggregate(type: "user", id: "u1") { events { nodes { version } } } }',
    ],
)
async def test_the_same_holds_wherever_events_are_listed(sample: SampleApi, query: str) -> None:
    assert {"_id": 1, "version": 1} in await read(sample, query)


async def test_two_selections_of_one_list_are_combined_into_one_read(sample: SampleApi) -> None:
    [projection] = await read(sample, "{ events(first: 5) { nodes { id } } events(first: 5) { nodes { type } } }")
    assert projection == {"_id": 1, "messageId": 1, "type": 1}


async def test_the_needs_of_every_field_of_an_event_are_known() -> None:
    fields = build()._schema.type_map["Event"].fields  # type: ignore[attr-defined]  # an object has fields
    assert fields.keys() <= NEEDED.keys() | FREE
    assert set(sources.KEYS.values()) <= NEEDED.keys()
