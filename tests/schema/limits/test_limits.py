"""Limits: a request at a limit is answered; beyond it an error names the limit, and nothing is silently cut (I8)."""

import pytest

from tests.support.sample_log import SampleApi

pytestmark = pytest.mark.asyncio(loop_scope="session")

LISTS = [
    "events({}) {{ nodes {{ id }} }}",
    "replay({}) {{ nodes {{ id }} }}",
    "aggregates({}) {{ nodes {{ id }} }}",
    "rejectedEvents({}) {{ nodes {{ code }} }}",
    'aggregate(type: "user", id: "u1") {{ events({}) {{ nodes {{ id }} }} }}',
]
FILTER = "query ($filter: EventFilter) { events(filter: $filter) { nodes { id } } }"


@pytest.mark.parametrize("list", LISTS)
async def test_a_page_of_1000_is_returned_and_one_of_1001_is_refused(sample: SampleApi, list: str) -> None:
    await sample.api.ask("{ " + list.format("first: 1000") + " }")
    error = await sample.api.refusal("{ " + list.format("first: 1001") + " }")
    assert error["extensions"] == {"code": "PAGE_TOO_LARGE", "field": "first"}
    assert "1001" in error["message"]
    assert "1000" in error["message"]


@pytest.mark.parametrize("list", LISTS)
async def test_a_page_of_negative_size_is_refused(sample: SampleApi, list: str) -> None:
    error = await sample.api.refusal("{ " + list.format("first: -1") + " }")
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": "first"}


async def test_pages_from_the_end_have_the_same_limit(sample: SampleApi) -> None:
    await sample.api.ask("{ events(last: 1000) { nodes { id } } }")
    error = await sample.api.refusal("{ events(last: 1001) { nodes { id } } }")
    assert error["extensions"] == {"code": "PAGE_TOO_LARGE", "field": "last"}
    error = await sample.api.refusal("{ events(last: -1) { nodes { id } } }")
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": "last"}


async def test_first_and_last_together_are_refused(sample: SampleApi) -> None:
    error = await sample.api.refusal("{ events(first: 1, last: 1) { nodes { id } } }")
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": "last"}


async def test_an_operation_may_request_10000_entries_and_not_one_more(sample: SampleApi) -> None:
    lists = " ".join(f"l{n}: events(first: 1000) {{ nodes {{ id }} }}" for n in range(10))
    await sample.api.ask(f"{{ {lists} }}")
    error = await sample.api.refusal(f"{{ {lists} more: events(first: 1) {{ nodes {{ id }} }} }}")
    assert error["extensions"] == {"code": "QUERY_TOO_COMPLEX"}
    assert "10000" in error["message"]


async def test_lists_within_lists_count_once_for_each_entry_of_the_outer_list(sample: SampleApi) -> None:
    # a list of n, each with its aggregate and a hundred of that one's events
    query = "{{ events(first: {}) {{ nodes {{ aggregate {{ events(first: 98) {{ nodes {{ id }} }} }} }} }} }}"
    await sample.api.ask(query.format(100))
    error = await sample.api.refusal(query.format(101))
    assert error["extensions"] == {"code": "QUERY_TOO_COMPLEX"}
    assert "requests 10100 entries, and the limit is 10000" in error["message"]


async def test_each_operation_has_its_own_budget(sample: SampleApi) -> None:
    for _ in range(3):
        await sample.api.ask("{ a: events(first: 1000) { nodes { id } } b: replay(first: 1000) { nodes { id } } }")
        lists = " ".join(f"l{n}: events(first: 1000) {{ nodes {{ id }} }}" for n in range(9))
        await sample.api.ask(f"{{ {lists} }}")


@pytest.mark.parametrize("field", ["ids", "eventTypes", "aggregateTypes", "aggregateIds"])
async def test_a_list_of_1000_values_is_accepted_and_one_of_1001_is_refused(sample: SampleApi, field: str) -> None:
    await sample.api.ask(FILTER, filter={field: [f"x{n}" for n in range(1000)]})
    error = await sample.api.refusal(FILTER, filter={field: [f"x{n}" for n in range(1001)]})
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": field}
    assert "1001" in error["message"]


@pytest.mark.parametrize("field", ["aggregateType", "aggregateId", "userId", "correlationId", "causationId"])
async def test_a_text_of_1024_characters_is_accepted_and_a_longer_one_is_refused(sample: SampleApi, field: str) -> None:
    await sample.api.ask(FILTER, filter={field: "x" * 1024})
    error = await sample.api.refusal(FILTER, filter={field: "x" * 1025})
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": field}


async def test_lists_in_other_filters_have_the_same_limit(sample: SampleApi) -> None:
    long = [f"x{n}" for n in range(1001)]
    for filter, field in (({"types": long}, "types"), ({"ids": long}, "ids"), ({"type": "x" * 1025}, "type")):
        query = "query ($filter: AggregateFilter) { aggregates(filter: $filter) { nodes { id } } }"
        error = await sample.api.refusal(query, filter=filter)
        assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": field}
    for filter, field in (({"eventTypes": long}, "eventTypes"), ({"aggregateTypes": long}, "aggregateTypes")):
        query = "query ($filter: StatsFilter) { stats(filter: $filter) { totalEvents } }"
        error = await sample.api.refusal(query, filter=filter)
        assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": field}


@pytest.mark.parametrize(
    "question",
    [
        "{{ events(first: {}) {{ nodes {{ id }} }} }}",
        "{{ event(id: {}) {{ id }} }}",
        "{{ events(filter: {{fromPosition: {}}}) {{ nodes {{ id }} }} }}",
        '{{ events(first: 1, filter: {{data: [{{path: "a", eq: {{b: [{}]}}}}]}}) {{ nodes {{ id }} }} }}',
        "query ($n: Int = {}) {{ events(first: $n) {{ nodes {{ id }} }} }}",
        'mutation {{ publishEvent(event: {{type: "a", data: {{n: {}}}}}) {{ id }} }}',
    ],
)
@pytest.mark.parametrize("number", ["-" + "9" * 5000, "9" * 5000 + ".5", "1e" + "9" * 5000])
async def test_a_number_that_python_refuses_to_parse_is_refused_in_our_words(
    sample: SampleApi, question: str, number: str
) -> None:
    error = await sample.api.refusal(question.format(number))
    assert error["extensions"] == {"code": "BAD_USER_INPUT"}
    assert error["message"] == (
        f"the number {number[:20]}… has {len(number)} characters; no number here may have over 4000"
    )
