"""Compiled or not, an answer is the same to the byte: status, headers and body, and what is logged and counted."""

import json
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventscope.schema.build import build
from eventscope.schema.compiled import executor
from eventscope.schema.compiled.compiler import Compiler
from eventscope.schema.compiled.executor import CompiledExecutor
from eventscope.schema.context import Context
from eventscope.schema.direct import Direct
from eventscope.schema.limits.limits import Limits
from tests.schema.support.broken_rows import QUERIES_OF_BROKEN
from tests.schema.support.example_requests import ODD_BODIES, ODD_HEADERS, QUERIES, WHOLE
from tests.schema.support.random_requests import Asking
from tests.schema.support.twin_apis import TwinApis, ask, metrics_of, twin_apis
from tests.support.sample_log import SampleApi

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    # if one of many fields fails, graphql-core cancels the others before some of them have started
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
]
EXAMPLES, BATCH = 60, 20
SCHEMA = build()._schema
ODD = [
    *((raw, {"content-type": "application/json"}, 1) for raw in ODD_BODIES),
    *((json.dumps(QUERIES[0]).encode(), headers, 1) for headers in ODD_HEADERS),
    *((json.dumps(QUERIES[0]).encode(), {"content-type": "application/json"}, parts) for parts in (2, 7)),
    (b'{"query": "{ __typename }"}' + b" " * 300_000, {"content-type": "application/json"}, 3),
]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
async def test_any_request_gets_the_same_answer_both_ways(twins: TwinApis, seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(BATCH):
        difference = await twins.differ(Asking(SCHEMA, dice).request(), exact=False)
        assert difference is None, difference


async def test_every_kind_of_query_gets_the_same_answer_both_ways_at_first_and_later(twins: TwinApis) -> None:
    for _ in range(3):
        for request in QUERIES:
            difference = await twins.differ(request)
            assert difference is None, difference


async def test_every_unusual_request_gets_the_same_answer_both_ways(twins: TwinApis) -> None:
    for raw, headers, parts in ODD:
        found = [await ask(app, raw, headers, parts) for app in (twins.compiled, twins.plain)]
        assert found[0] == found[1], (raw[:100], headers)


async def test_broken_documents_cause_the_same_errors(broken_twins: TwinApis) -> None:
    errors = 0
    for request in QUERIES_OF_BROKEN:
        difference = await broken_twins.differ(request)
        assert difference is None, difference
        errors += b'"errors"' in (await ask(broken_twins.plain, json.dumps(request).encode())).body
    assert errors > 30


async def test_both_ways_count_the_same(sample: SampleApi) -> None:
    pair = twin_apis(sample.settings, sample.api.services)
    counted = []
    for app in (pair.compiled, pair.plain):
        for request in QUERIES:
            await ask(app, json.dumps(request).encode())
        exposed = await metrics_of(app)
        counted.append({line for line in exposed.splitlines() if line.startswith("eventscope_operations_total")})
    assert counted[0] == counted[1]
    assert len(counted[0]) > 4


async def test_a_query_is_compiled_when_it_is_repeated_but_not_the_first_time(
    sample: SampleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CompiledExecutor, "warm", executor.WARM)
    schema = build()
    direct = Direct(schema, Limits(), 10.0, None)
    lines = []
    for _ in range(4):
        result = await direct.execute(
            f"{{ events(first: 9) {WHOLE} }}", None, None, lambda: Context(sample.api.services)
        )
        assert result is not None
        assert result.errors is None
        lines.append(schema.documents.lines)
    assert lines[0] == 0
    assert 20 < lines[1] == lines[2] == lines[3]


async def test_the_items_of_a_long_list_are_compiled_within_its_first_request(
    sample: SampleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CompiledExecutor, "warm", executor.WARM)
    schema = build()
    direct = Direct(schema, Limits(), 10.0, None)
    await direct.execute(
        "{ events(first: 90) { nodes { id type } } }", None, None, lambda: Context(sample.api.services)
    )
    assert schema.documents.lines > 0


@pytest.mark.parametrize(
    "question",
    [
        "events(first: 9) { edges { cursor node { id messageId cursor } } }",
        "aggregates(first: 9) { nodes { id aggregateId type } }",
        "eventTypes { id type count }",
        "rejectedEvents { nodes { id code } }",
        'event(id: "m001") { id cursor type }',
    ],
)
async def test_plain_fields_of_every_type_with_an_id_are_compiled_completely(
    sample: SampleApi, monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    compiled_whole: list[object] = []

    def value(self: Compiler, *args: Any) -> Any:
        compiled_whole.append(made := original(self, *args))
        return made

    original = Compiler.value
    monkeypatch.setattr(Compiler, "value", value)
    monkeypatch.setattr(CompiledExecutor, "warm", 1)
    direct = Direct(build(), Limits(), 10.0, None)
    result = await direct.execute(f"{{ {question} }}", None, None, lambda: Context(sample.api.services))
    assert result is not None
    assert result.errors is None
    assert len(compiled_whole) == 1
