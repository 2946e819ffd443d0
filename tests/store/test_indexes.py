"""No read without an index (I8): MongoDB explains the commands that the store really sent.

The shapes of filters are in `shapes`: those that an index returns in order, those that it finds, and those that it
cannot serve. `python -m benchmarks.read --parts shapes` checks the same on a log of a million events.
"""

from collections.abc import Iterator

import pytest

from eventscope.store import aggregates
from eventscope.store.aggregates import AggregateCriteria, Order
from eventscope.store.catalogue import counting
from eventscope.store.catalogue import types as catalogue_types
from eventscope.store.events import links, pages, types
from eventscope.store.filters.filter import EVERYTHING, Among, TypePatterns
from eventscope.store.rejected import messages
from eventscope.store.state import checkpoint
from eventscope.store.stats import claims, counts, expiry
from eventscope.store.stats.counts import Scope
from eventscope.store.values.moment import HOUR
from tests.store.conftest import DRIVERS
from tests.store.support.appender import NOON
from tests.store.support.busy_log import KINDS, SAMPLES, busy_log
from tests.store.support.filter_shapes import Kind, faults, places, shapes
from tests.store.support.query_plans import PAGE, Explainer, names

EVENTS = 20_000
SHAPES = shapes(SAMPLES)
IDENTIFIED = (
    Among("aggregateId", ("7",)),
    Among("userId", ("user 7",)),
    Among("correlationId", ("cause 100",)),
    Among("causationId", ("cause 100",)),
)


@pytest.fixture(scope="module", params=DRIVERS)
def busy(request: pytest.FixtureRequest, mongo_url: str) -> Iterator[Explainer]:
    with busy_log(mongo_url, request.param, EVENTS) as busy:
        yield busy


def _names(kind: Kind) -> list[str]:
    return [name for name, shape in SHAPES.items() if shape.kind == kind]


ORDERS: tuple[Order, ...] = ("last.position", "first.position")


def _faults(busy: Explainer, name: str) -> dict[str, list[str]]:
    shape = SHAPES[name]
    looked = {place: busy.page(shape.filter, **where) for place, where in places(SAMPLES).items()}
    return faults(shape.kind, looked, SAMPLES)


@pytest.mark.parametrize("name", _names("in order"))
def test_the_index_returns_a_page_in_order_and_little_else(busy: Explainer, name: str) -> None:
    assert _faults(busy, name) == {}


@pytest.mark.parametrize("name", _names("cut"))
def test_the_ends_of_a_time_range_cost_at_most_the_events_of_their_minutes(busy: Explainer, name: str) -> None:
    assert _faults(busy, name) == {}


@pytest.mark.parametrize("name", _names("sorted"))
def test_what_is_sorted_afterwards_is_found_by_an_index(busy: Explainer, name: str) -> None:
    assert _faults(busy, name) == {}


@pytest.mark.parametrize("name", _names("free"))
def test_what_no_index_serves_is_searched_in_windows_of_positions(busy: Explainer, name: str) -> None:
    assert _faults(busy, name) == {}


@pytest.mark.parametrize(
    "name", ["no condition", "type", "aggregate type", "user", "every type", "a user or a pattern"]
)
def test_a_page_deep_in_the_log_costs_what_the_first_one_costs(busy: Explainer, name: str) -> None:
    for newest_first, end in ((False, "above"), (True, "below")):
        for place in (EVENTS // 100, EVENTS // 2, EVENTS - EVENTS // 100):
            looked = busy.page(SHAPES[name].filter, newest_first=newest_first, **{end: place})
            assert 0 < looked.returned <= looked.examined <= looked.returned + 10


def test_the_thousandth_page_is_read_as_a_range_of_keys_like_the_first(busy: Explainer) -> None:
    looked = []
    for page in (1, 2, 999, 1000):
        place = (page - 1) * 15
        [command] = busy.heard(pages.page(busy.log, EVERYTHING, limit=15, above=place))
        found = busy.explained(command)["executionStats"]
        looked.append((found["totalKeysExamined"], found["totalDocsExamined"], found["nReturned"]))
    assert looked == [(15, 15, 15)] * 4


def test_no_query_scans_a_whole_collection(busy: Explainer) -> None:
    log = busy.log
    heads = AggregateCriteria
    led = [shape.filter for shape in SHAPES.values() if shape.kind != "free"]
    low, high = NOON - 100 * HOUR + 7, NOON - 90 * HOUR + 7
    scopes = [
        Scope(),
        Scope(types=TypePatterns(("user.created",))),
        Scope(types=TypePatterns(("user.*",))),
        Scope(aggregate_types=("user",)),
        Scope(low=low, high=high),
        Scope(types=TypePatterns(("user.*",)), aggregate_types=("user", "vendor"), low=low, high=high),
        *(Scope(low=start, high=high, among=(one,)) for one in IDENTIFIED for start in (None, low)),
    ]
    questions = [
        pages.event(log, "id 7"),
        pages.first_position(log),
        types.types(log),
        *(pages.count(log, filter) for filter in led),
        *(pages.count(log, filter, 100) for filter in led),
        *(counts.cells(log, scope, hourly=hourly) for scope in scopes for hourly in (False, True)),
        *(counts.aggregates(log, scope) for scope in scopes),
        aggregates.by_name(log, [("user", "7"), ("vendor", "8")]),
        *(
            aggregates.aggregates(log, filter, limit=PAGE, order=order, below=below)
            for filter in (heads(), heads(types=("user",)), heads(types=("user", "order")), heads(deleted=True))
            for order in ORDERS
            for below in (None, 1000)
        ),
        aggregates.count(log, heads(types=("user",)), 10),
        checkpoint.read(log),
        checkpoint.head(log),
        claims.claims(log),
        messages.rejections(log, limit=PAGE),
        messages.rejections(log, limit=PAGE, below=3),
        messages.rejections(log, limit=PAGE, code="INVALID_JSON"),
        messages.one(log, 1),
        messages.numbers(log),
        messages.numbers(log, "INVALID_JSON"),
        messages.codes(log),
        counting.count(log),
        counting.fields(log, ["user.created", "user.updated"]),
        *(catalogue_types.types(log, prefix, 100) for prefix in ("", "user.")),
        links.conversation(log, "cause 100", limit=PAGE),
        links.causes(log, ["id 7", "id 8"]),
    ]
    scanning = []
    for question in questions:
        for command in busy.heard(question):
            collection = next(iter(command.values()))
            # all of the notes of expired events are needed: one small document per type
            if collection != "expirations" and "COLLSCAN" in names(busy.explained(command)):
                scanning.append(command)
    assert scanning == []


def test_the_events_of_one_id_are_counted_without_scanning_the_others(busy: Explainer) -> None:
    for one in IDENTIFIED:
        theirs = busy.run(pages.count(busy.log, one))
        for question in (counts.cells, counts.aggregates):
            commands = busy.heard(question(busy.log, Scope(among=(one,))))
            [command] = [command for command in commands if command.get("aggregate") == "events"]
            explanation = busy.explained(command)
            found = explanation if "executionStats" in explanation else explanation["stages"][0]["$cursor"]
            assert 0 < found["executionStats"]["totalDocsExamined"] <= theirs
            assert {"$limit": busy.log.search.most_in_stats + 1} in command["pipeline"]


def test_a_page_of_aggregates_is_found_without_scanning_the_others(busy: Explainer) -> None:
    user = ("user",)
    for filter in (AggregateCriteria(), AggregateCriteria(user)):
        for below in (None, 2500):
            # at the end of the list, the checkpoint is read
            command, *_ = busy.heard(aggregates.aggregates(busy.log, filter, limit=20, below=below))
            assert command.get("find") == "aggregates"
            explanation = busy.explained(command)
            assert "SORT" not in names(explanation)
            assert explanation["executionStats"]["totalDocsExamined"] <= 20


def test_aggregates_are_found_by_their_ids(busy: Explainer) -> None:
    for filter, most in ((AggregateCriteria(("user",), ("7", "8")), 2), (AggregateCriteria(ids=("7",)), len(KINDS))):
        command, *_ = busy.heard(aggregates.aggregates(busy.log, filter, limit=20))
        assert command.get("find") == "aggregates"
        assert busy.explained(command)["executionStats"]["totalDocsExamined"] <= most


def test_the_earliest_expiry_is_found_by_an_index(busy: Explainer) -> None:
    [command, *_] = busy.heard(expiry._oldest_expiry(busy.log))
    stats = busy.explained(command)["executionStats"]
    assert (stats["totalKeysExamined"], stats["totalDocsExamined"]) == (1, 1)
