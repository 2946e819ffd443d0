"""Ids: no two objects share one, and each leads back to its object."""

from typing import Any, TypeAlias

import pytest
from graphql import GraphQLInterfaceType, GraphQLObjectType
from hypothesis import example, given
from hypothesis import strategies as st

from eventscope.schema import ids
from eventscope.schema.build import build

Thing: TypeAlias = tuple[str, Any]

# texts that are easily mistaken for something else
parts = st.sampled_from(["", "/", "%", "%2F", "%25", ":", *ids.RESERVED, "a", "7", "0", "\0", "ü"])
texts = st.text(max_size=8) | st.lists(parts, max_size=5).map("".join)
things: st.SearchStrategy[Thing] = st.one_of(
    st.tuples(st.just("event"), texts),
    st.tuples(st.just("aggregate"), st.tuples(texts, texts)),
    st.tuples(st.just("type"), texts),
    st.tuples(st.just("rejected"), st.integers(0, 2**63 - 1)),
    st.tuples(st.just("log"), texts),
)


def id_of(thing: Thing) -> str:
    kind, name = thing
    match kind:
        case "event":
            return ids.of_event({"messageId": name})
        case "aggregate":
            return ids.of_aggregate(*name)
        case "type":
            return ids.of_event_type(name)
        case "rejected":
            return ids.of_rejected(name)
        case _:
            return ids.of_log(name)


def things_of(id: str) -> list[Thing]:
    """All objects with the id, by what each type reads from it."""
    message_id = ids.message_id(id)
    found: list[Thing] = [("event", message_id)] if ids.of_event({"messageId": message_id}) == id else []
    for kind, name in (("aggregate", ids.aggregate(id)), ("type", ids.event_type(id)), ("rejected", ids.rejected(id))):
        if name is not None:
            found.append((kind, name))
    return found + ([("log", id.removeprefix(ids.LOG))] if id.startswith(ids.LOG) else [])


@given(things, things)
@example(("event", "aggregate:user/42"), ("aggregate", ("user", "42")))
@example(("event", "event:aggregate:a/b"), ("event", "aggregate:a/b"))
@example(("aggregate", ("a/b", "c")), ("aggregate", ("a", "b/c")))
@example(("aggregate", ("a%2Fb", "c")), ("aggregate", ("a/b", "c")))
def test_two_objects_never_have_the_same_id(one: Thing, other: Thing) -> None:
    assert (id_of(one) == id_of(other)) == (one == other)


@given(things)
def test_an_id_leads_back_to_its_object_and_to_no_other(thing: Thing) -> None:
    assert things_of(id_of(thing)) == [thing]


@given(texts)
def test_whatever_is_accepted_as_an_id_is_the_id_of_the_object_that_it_finds(text: str) -> None:
    assert [id_of(thing) for thing in things_of(text)] in ([text], [])


@given(texts)
def test_a_message_id_without_the_prefix_of_escaped_ones_finds_its_event(text: str) -> None:
    assert ids.message_id(text) == text or text.startswith("event:")


@pytest.mark.parametrize(
    ("thing", "id"),
    [
        (("event", "0198a5c2-7c1f-7000-8000-000000000001"), "0198a5c2-7c1f-7000-8000-000000000001"),
        (("event", "urn:shop:7"), "urn:shop:7"),
        (("event", "log:7"), "event:log:7"),
        (("aggregate", ("user", "42")), "aggregate:user/42"),
        (("aggregate", ("a/b%", "c/d%")), "aggregate:a%2Fb%25/c/d%"),
        (("type", "user.created"), "type:user.created"),
        (("rejected", 7), "rejected:7"),
    ],
)
def test_people_can_read_ids(thing: Thing, id: str) -> None:
    assert id_of(thing) == id


def test_what_has_an_id_is_a_node_and_no_other_type_has_one() -> None:
    core = build()._schema
    node = core.type_map["Node"]
    assert isinstance(node, GraphQLInterfaceType)
    with_id = {
        type.name for type in core.type_map.values() if isinstance(type, GraphQLObjectType) and "id" in type.fields
    }
    assert {type.name for type in core.get_possible_types(node)} == with_id
    assert with_id == {"Event", "Aggregate", "EventType", "RejectedEvent", "LogStatus"}
