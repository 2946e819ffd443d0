"""Path conditions: each means the same to MongoDB and to live delivery, on JSON of every kind."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING, All, Exists, Holds, Ids, Not, matcher
from eventscope.store.filters.inspection import Inspection
from eventscope.store.filters.mongo import query
from eventscope.store.filters.paths import Compares, Equals, Likeness, Path, Reads, Test, keys_of
from eventscope.store.log import Log
from tests.store.support import filter_model as model
from tests.store.support.appender import Appender, event
from tests.store.support.json_values import parts_of, path_conditions
from tests.store.support.random_log import RandomLog


@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_a_condition_on_a_path_means_the_same_to_mongodb_and_to_live_delivery(
    corpus: RandomLog, data: st.DataObject
) -> None:
    known = [part for event in corpus.events for part in parts_of(event.get("data"))]
    condition = data.draw(path_conditions(known), "condition")
    log = corpus.at(0, "whole")

    found = corpus.ask(_ids(log.events.find(query(condition), {"_id": 1})))

    lively = matcher(condition)
    means = [event["_id"] for event in corpus.events if model.means(condition, event)]
    assert [event["_id"] for event in corpus.events if lively(Inspection(event))] == means, (
        "live delivery means other events"
    )
    assert found == means, "MongoDB means other events"


async def _ids(cursor: Any) -> list[int]:
    return sorted(document["_id"] for document in await cursor.to_list(None))


HELD: list[tuple[Any, str, dict[str, Any]]] = [
    ({"a": {"b": 5}}, "a.b", {"eq": 5.0}),
    ({"a": {"b": 5.0}}, "a.b", {"eq": 5}),
    ({"a": 2**53 + 1}, "a", {"eq": 2**53 + 1}),
    ({"a": 2**53 + 1}, "a", {"gt": float(2**53)}),
    ({"a": 2**63 - 1}, "a", {"lt": 9.3e18}),
    ({"a": None}, "a", {"eq": None}),
    ({}, "a", {"eq": None}),
    (None, "a.b", {"eq": None}),
    ({"a": [1, None]}, "a", {"eq": None}),
    ({"a": ""}, "a", {"eq": ""}),
    ({"a": [1, 2]}, "a", {"eq": 2}),
    ({"a": [1, 2]}, "a", {"eq": [1, 2.0]}),
    ({"a": [[1, 2]]}, "a", {"eq": [1, 2]}),
    ({"a": [{"b": 1}, {"b": 2}]}, "a.b", {"eq": 2}),
    ({"a": [{"b": [1, 2]}]}, "a.b", {"eq": 2}),
    ({"a": [{"b": 1}, {"b": 2}]}, "a.1.b", {"eq": 2}),
    ({"a": {"1": {"b": 2}}}, "a.1.b", {"eq": 2}),
    ({"a": {"b": 1, "c": {"d": 2, "e": 3}}}, "a", {"eq": {"c": {"e": 3.0, "d": 2}, "b": 1}}),
    ([{"a": 1}], "a", {"eq": 1}),
    ([5, 6], "1", {"eq": 6}),
    ("text", "", {"startsWith": "te"}),
    ({"a": 5}, "", {"eq": {"a": 5}}),
    ({"a.b": {"$c": {"": 1}}}, r"a\.b.$c.", {"eq": 1}),
    ({"a\\": 1}, r"a\\", {"eq": 1}),
    ({"a": "Grüße"}, "a", {"contains": "üß"}),
    ({"a": "a.b"}, "a", {"startsWith": "a."}),
    ({"a": "x\0y"}, "a", {"contains": "\0y"}),
    ({"a": "x\0y"}, "a", {"startsWith": "x\0"}),
    ({"a": "2026-11-23T07:00:00Z"}, "a", {"gte": "2026-11-23"}),
    ({"a": True}, "a", {"gt": False}),
    ({"a": [3, 12]}, "a", {"gt": 10, "lt": 20}),
    ({"a": {"$ref": "x", "$id": 1}}, "a.$id", {"eq": 1}),
    ({"a": {"$ref": "x", "$id": 1}}, "a", {"eq": {"$id": 1, "$ref": "x"}}),
]
NOT_HELD: list[tuple[Any, str, dict[str, Any]]] = [
    ({"a": 1}, "a", {"eq": True}),
    ({"a": 1}, "a", {"eq": "1"}),
    ({"a": 2**53 + 1}, "a", {"eq": float(2**53)}),
    ({"a": "5"}, "a", {"gt": 4}),
    ({"a": True}, "a", {"gt": 0}),
    ({"a": None}, "a", {"lte": 0}),
    ({}, "a", {"lt": ""}),
    ({"a": {}}, "a", {"eq": None}),
    ({"a": []}, "a", {"eq": None}),
    ({"a": [3, 30]}, "a", {"gt": 10, "lt": 20}),
    ({"a": [{"b": 3}, {"b": 30}]}, "a.b", {"gt": 10, "lt": 20}),
    ({"a": [[{"b": 1}]]}, "a.b", {"eq": 1}),
    ({"a": [{"1": 5}]}, "a.1", {"eq": 5}),
    ({"a": {"b": 1}}, "a", {"eq": {"b": 1, "c": None}}),
    ({"a": {"b": 1, "c": 2}}, "a", {"eq": {"b": 1}}),
    ({"a": {"b": 1}}, r"a\.b", {"eq": 1}),
    ({"a": {"$gt": 0}}, "a.$gt", {"eq": 1}),
    ({"a": "axb"}, "a", {"startsWith": "a."}),
    ({"a": "xa"}, "a", {"startsWith": "a"}),
    ({"a": "line\nab"}, "a", {"startsWith": "ab"}),
    ({"a": "A"}, "a", {"contains": "a"}),
]


def as_tests(operators: dict[str, Any]) -> tuple[Test, ...]:
    return tuple(
        Equals((value,)) if name == "eq" else Reads(name, value) if name in HOW else Compares(name, value)  # type: ignore[arg-type]  # the names are those of the tests
        for name, value in operators.items()
    )


HOW = ("startsWith", "contains")


async def test_each_case_has_the_result_that_people_expect(log: Log, appender: Appender) -> None:
    cases = [(case, True) for case in HELD] + [(case, False) for case in NOT_HELD]
    for n, ((data, _, _), _) in enumerate(cases):
        await appender.store(event(id=str(n), **({} if data is None else {"data": data})))
    stored = {e["messageId"]: e for e in await pages.events(log, EVERYTHING, limit=1000)}
    for n, ((data, path, operators), held) in enumerate(cases):
        condition = Holds(Path("data", keys_of(path)), as_tests(operators))
        for filter in (condition, Not(Not(condition))):
            found = await pages.events(log, All((Ids((str(n),)), filter)), limit=5)
            assert len(found) == held, (data, path, operators)
        assert held != len(await pages.events(log, All((Ids((str(n),)), Not(condition))), limit=5))
        assert matcher(condition)(Inspection(stored[str(n)])) == held, (data, path, operators)


async def test_a_list_of_any_length_is_searched(log: Log, appender: Appender) -> None:
    lists = [[{"a": n, "b": [n, [n]]}] for n in range(5000)]
    await appender.store(event(id="long", data={"lists": lists, "flat": [one for [one] in lists]}))
    for path, value in (
        ("flat.b", 4999),
        ("flat.a", 255),
        ("flat.a", 256),
        ("lists.4999.a", 4999),
        ("lists.4999.b.1", 4999),
    ):
        for tests in (
            (Equals((value,)),),
            (Compares("gte", value), Compares("lte", value)),
            (Equals(({"x": 1}, value)),),
        ):
            condition = Holds(Path("data", keys_of(path)), tests)
            [found] = await pages.events(log, condition, limit=5)
            assert matcher(condition)(Inspection(found))


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", ()),
        ("a", ("a",)),
        ("a.b", ("a", "b")),
        (".", ("", "")),
        ("a..b", ("a", "", "b")),
        (r"a\.b", ("a.b",)),
        (r"a\\.b", ("a\\", "b")),
        (r"\$a", ("$a",)),
        ("$a.0", ("$a", "0")),
        ("a\nb", ("a\nb",)),
    ],
)
def test_a_path_is_split_at_dots_without_a_backslash(text: str, keys: tuple[str, ...]) -> None:
    assert keys_of(text) == keys


def test_a_backslash_with_nothing_after_it_is_not_a_path() -> None:
    with pytest.raises(ValueError, match="nothing after"):
        keys_of("a\\")


@given(keys=st.lists(st.text(min_size=1), min_size=1))
def test_every_key_can_be_written_in_a_path(keys: list[str]) -> None:
    written = ".".join(key.replace("\\", "\\\\").replace(".", "\\.") for key in keys)
    assert keys_of(written) == tuple(keys)


MARK = "☠"


def marked(value: Any, *way: str) -> Iterator[tuple[str, ...]]:
    """The marked texts in a query: the keys that lead to each, and the text itself."""
    if isinstance(value, dict):
        for name, one in value.items():
            if MARK in name:
                yield (*way, name)
            yield from marked(one, *way, name)
    elif isinstance(value, list):
        for one in value:
            yield from marked(one, *way)
    elif isinstance(value, str) and MARK in value:
        yield (*way, value)


HOSTILE = st.sampled_from(["$where", "$$ROOT", "$expr", "a.b", "$gt", "", "0", "~", "$data.a"]).map(lambda t: t + MARK)
OPERANDS = st.recursive(
    HOSTILE, lambda parts: st.lists(parts, max_size=2) | st.dictionaries(HOSTILE, parts, max_size=2)
)


@given(
    keys=st.lists(HOSTILE, min_size=1, max_size=3),
    operands=st.lists(OPERANDS, min_size=1, max_size=2),
    text=HOSTILE,
)
def test_text_from_a_caller_is_never_an_operator(keys: list[str], operands: list[Any], text: str) -> None:
    paths = Path("data", tuple(keys)), Path("data", ("plain",))
    tests = (
        (Equals(tuple(operands)),),
        (Compares("gt", text),),
        (Reads("contains", text),),
        (Reads("startsWith", text),),
    )
    single = [Holds(path, test) for path in paths for test in tests]
    made = query(All((*single, *(Holds(path, tests[0] + tests[1]) for path in paths), *map(Exists, paths))))
    for *way, last in marked(made):
        if "$literal" in way:
            continue
        if way[-1] in ("$eq", "$in", "$gt", "$regex"):
            # the operand of a condition on a field, where MongoDB treats a text as a text
            assert way[-2].startswith("data.")
        else:
            assert last.startswith("data."), way
            assert "$" not in last


@pytest.mark.parametrize("how", ["startsWith", "contains"])
@given(text=st.text() | st.sampled_from(["^.*$", "a|b", "\\", "\\E.*", "[a-z]", "(?i)a", "a{2}", "$", "\0.\0"]))
def test_a_text_to_search_for_is_not_a_pattern(how: Likeness, text: str) -> None:
    made: Any = query(Holds(Path("data", ("a",)), (Reads(how, text),)))
    pattern = made["data.a"]["$regex"].replace(r"\x{0}", r"\x00")
    assert "\0" not in pattern
    assert re.compile(pattern).search(text)
    assert re.fullmatch(pattern.removeprefix("^"), text)
