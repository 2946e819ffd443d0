"""Compiled or not, an answer is the same to the byte: status, headers and body, and what is logged and counted."""

import json
import random
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from bson import ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventscope.app import services
from eventscope.http import fast_path
from eventscope.schema.build import Schema, build
from eventscope.schema.compiled import compiler, documents, executor, plan, selection, self_check
from eventscope.schema.compiled.compiler import Compiler
from eventscope.schema.compiled.documents import PreparedDocument
from eventscope.schema.compiled.executor import CompiledExecutor, OperationPlans
from eventscope.schema.context import Context, Services
from eventscope.schema.direct import Direct
from eventscope.schema.limits.limits import Limits
from eventscope.settings import Settings
from tests.schema.support.example_requests import EVENT, ODD_BODIES, ODD_HEADERS, QUERIES, WHOLE, body
from tests.schema.support.random_requests import Asking
from tests.schema.support.twin_apis import Answer, TwinApis, ask, metrics_of, twin_apis
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

GOOD: Mapping[str, Any] = {
    "messageId": "m1",
    "type": "a.b",
    "timestamp": 0,
    "recordedAt": 1_700_000_000_123_456,
    "version": 2**31 - 1,
    "aggregateType": "a",
    "aggregateId": "1",
    "causationId": "broken 2",
}
# documents that no ingester writes, such as edits of the database by hand might leave
BROKEN: list[dict[str, Any]] = [
    {},
    {"type": None},
    {"timestamp": "never"},
    {"timestamp": 1.5},
    {"timestamp": True},
    {"timestamp": 2**62},
    {"recordedAt": None},
    {"version": "one"},
    {"version": 2**31},
    {"version": 2.0},
    {"version": True},
    {"claimedVersion": "one"},
    {"claimedVersion": 1.5},
    {"claimedVersion": True},
    {"userId": 5},
    {"userId": ["x"]},
    {"correlationId": 1.5},
    {"aggregateType": {"x": 1}},
    {"aggregateId": 7},
    {"expireAt": "never"},
    {"data": {"x": ObjectId("0" * 24)}},
    {"metadata": b"bytes"},
    {"extensions": [None]},
    {"type": 5},
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def both(world: SampleApi) -> AsyncIterator[TwinApis]:
    with pytest.MonkeyPatch.context() as patch:
        # compiled at once, and not when it is repeated
        patch.setattr(CompiledExecutor, "warm", 1)
        yield twin_apis(world.settings, world.api.services)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def broken_services(world: SampleApi) -> AsyncIterator[tuple[Settings, Services]]:
    """A log of broken rows."""
    chosen = world.settings.model_copy(update={"mongo_database": f"{world.settings.mongo_database}_broken"})
    async with services(chosen) as found:
        rows = [{"_id": n, **GOOD, "messageId": f"broken {n}", **row} for n, row in enumerate(BROKEN, start=1)]
        await found.log.events.insert_many(rows)
        await found.log.meta.insert_one({"_id": "checkpoint", "head": len(rows)})
        # with such a small budget, one answer fits and two do not
        yield chosen, replace(found, limits=Limits(entries=1500))
        await found.log.mongo.client.drop_database(chosen.mongo_database)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def broken(both: TwinApis, broken_services: tuple[Settings, Services]) -> TwinApis:
    return twin_apis(*broken_services)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
async def test_any_request_gets_the_same_answer_both_ways(both: TwinApis, seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(BATCH):
        difference = await both.differ(Asking(SCHEMA, dice).request(), exact=False)
        assert difference is None, difference


async def test_every_kind_of_query_gets_the_same_answer_both_ways_at_first_and_later(both: TwinApis) -> None:
    for _ in range(3):
        for request in QUERIES:
            difference = await both.differ(request)
            assert difference is None, difference


async def test_every_unusual_request_gets_the_same_answer_both_ways(both: TwinApis) -> None:
    for raw, headers, parts in ODD:
        found = [await ask(app, raw, headers, parts) for app in (both.compiled, both.plain)]
        assert found[0] == found[1], (raw[:100], headers)


QUERIES_OF_BROKEN = [
    body(f"{{ events(first: 1000) {WHOLE} }}"),
    *(body(f'{{ event(id: "broken {n}") {{ {EVENT} }} }}') for n in range(1, len(BROKEN) + 1)),
    *(body(f'{{ events(first: 1, after: "e{n + 1:x}") {WHOLE} }}') for n in range(1, len(BROKEN) + 1)),
    *(body(f"{{ events(first: 30) {{ nodes {{ position {name} }} }} }}") for name in EVENT.split()),
    body("{ events(first: 30) { edges { node { id cause { id version } aggregate { id } } cursor } } }"),
    body("{ events(first: 900) { nodes { type } } }"),
    body("{ replay(first: 30) { nodes { type version timestamp } pageInfo { endCursor } totalCount { exact } } }"),
    body("{ a: events(first: 700) { nodes { type } } b: events(first: 700) { nodes { id } } }"),
]


async def test_broken_documents_cause_the_same_errors(broken: TwinApis) -> None:
    errors = 0
    for request in QUERIES_OF_BROKEN:
        difference = await broken.differ(request)
        assert difference is None, difference
        errors += b'"errors"' in (await ask(broken.plain, json.dumps(request).encode())).body
    assert errors > 30


async def test_both_ways_count_the_same(world: SampleApi) -> None:
    pair = twin_apis(world.settings, world.api.services)
    counted = []
    for app in (pair.compiled, pair.plain):
        for request in QUERIES:
            await ask(app, json.dumps(request).encode())
        exposed = await metrics_of(app)
        counted.append({line for line in exposed.splitlines() if line.startswith("eventscope_operations_total")})
    assert counted[0] == counted[1]
    assert len(counted[0]) > 4


async def test_a_query_is_compiled_when_it_is_repeated_but_not_the_first_time(
    world: SampleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CompiledExecutor, "warm", executor.WARM)
    schema = build()
    direct = Direct(schema, Limits(), 10.0, None)
    lines = []
    for _ in range(4):
        result = await direct.execute(
            f"{{ events(first: 9) {WHOLE} }}", None, None, lambda: Context(world.api.services)
        )
        assert result is not None
        assert result.errors is None
        lines.append(schema.documents.lines)
    assert lines[0] == 0
    assert 20 < lines[1] == lines[2] == lines[3]


async def test_the_items_of_a_long_list_are_compiled_within_its_first_request(
    world: SampleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CompiledExecutor, "warm", executor.WARM)
    schema = build()
    direct = Direct(schema, Limits(), 10.0, None)
    await direct.execute("{ events(first: 90) { nodes { id type } } }", None, None, lambda: Context(world.api.services))
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
    world: SampleApi, monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    compiled_whole: list[object] = []

    def value(self: Compiler, *args: Any) -> Any:
        compiled_whole.append(made := original(self, *args))
        return made

    original = Compiler.value
    monkeypatch.setattr(Compiler, "value", value)
    monkeypatch.setattr(CompiledExecutor, "warm", 1)
    direct = Direct(build(), Limits(), 10.0, None)
    result = await direct.execute(f"{{ {question} }}", None, None, lambda: Context(world.api.services))
    assert result is not None
    assert result.errors is None
    assert len(compiled_whole) == 1


Mutant = Callable[[pytest.MonkeyPatch], None]


def written(pattern: str, instead: str) -> Mutant:
    """Replace one text by another in all generated functions."""

    def mutate(patch: pytest.MonkeyPatch) -> None:
        source = Compiler._source
        patch.setattr(Compiler, "_source", lambda self, result: re.sub(pattern, instead, source(self, result)))

    return mutate


def put(owner: object, name: str, instead: object) -> Mutant:
    """Replace an attribute by something else."""
    return lambda patch: patch.setattr(owner, name, instead)


def wrapped(owner: object, name: str, around: Callable[..., Any]) -> Mutant:
    """Wrap an attribute in something that changes its result."""

    def mutate(patch: pytest.MonkeyPatch) -> None:
        original = getattr(owner, name)
        patch.setattr(owner, name, lambda *args, **more: around(original, *args, **more))

    return mutate


MUTANTS: dict[str, Mutant] = {
    "a null goes through where none may be": wrapped(
        compiler, "convert", lambda original, type, value: None if value is None else original(type, value)
    ),
    "leaves are not looked at": written(r"if .*: (n\d+) = convert\(.*", "pass"),
    "any integer is an Int": put(compiler, "UNCHANGED", {**compiler.UNCHANGED, "Int": "type({v}) in INTEGERS"}),
    "true is an integer": put(compiler, "UNCHANGED", {**compiler.UNCHANGED, "BigInt": "True", "Int": "True"}),
    "a number is an ID": put(compiler, "UNCHANGED", {**compiler.UNCHANGED, "ID": "True"}),
    "times are numbers": written(r"moment_text\((\w+)\)", r"\1"),
    "lists lose their last item": written(r"for (n\d+) in (\S+):", r"for \1 in \2[:-1]:"),
    "another field is read": written(r"get\('userId'\)", "get('type')"),
    "edges have the cursor of the first": written(r"(?m)^( +n\d+ = n\d+)\(n\d+\)$", r"\1({'_id': 1})"),
    "a null object is an empty one": written(r"(n\d+) = None", r"\1 = {}"),
    "aliases are forgotten": wrapped(
        Compiler, "_object", lambda original, self, *args: re.sub(r"'\w+': (n\d+)", r"'key': \1", original(self, *args))
    ),
    "a fallback gives null": put(CompiledExecutor, "complete_value", lambda self, *args: None),
    "what is skipped is not told apart": put(
        OperationPlans, "conditions", property(lambda self: (), lambda self, value: None)
    ),
    "the rest of an object comes last": wrapped(
        CompiledExecutor,
        "_execute_rest",
        lambda original, self, part, results, *args: original(
            self, part, {k: v for k, v in results.items() if k not in part.rest}, *args
        ),
    ),
    "the rest of an object is left out": put(
        CompiledExecutor, "_execute_rest", lambda self, part, results, *_: results
    ),
    "defaults of variables are forgotten": wrapped(
        documents,
        "variables",
        lambda original, *args: tuple(replace(one, default=plan.NO_VARIABLES) for one in original(*args)),
    ),
    "variables are taken as they are": put(plan, "coerce_input_value", lambda value, type: value),
    "arguments in the document are forgotten": wrapped(
        plan, "root", lambda original, *args: (found := original(*args)) and replace(found, constants={})
    ),
    "arguments in variables are forgotten": wrapped(
        plan, "root", lambda original, *args: (found := original(*args)) and replace(found, arguments=())
    ),
    "input objects are not converted": put(plan, "_is_leaf", lambda type, schema: True),
    "the resolver is asked again": lambda patch: patch.setattr(
        CompiledExecutor, "root_result", property(lambda self: None, lambda self, result: None), raising=False
    ),
    "nothing is too complex": put(Limits, "charge", lambda self, *args: []),
    "errors are not described": put(Schema, "process_errors", lambda self, errors, context=None: None),
    "unwanted fields are not read": put(selection, "NEEDED", {**selection.NEEDED, "aggregate": (), "userId": ()}),
    "the media type is forgotten": put(fast_path, "_negotiate", lambda accept, content: "application/json"),
    "an operation name is not looked at": wrapped(
        PreparedDocument,
        "query",
        lambda original, self, schema, name: original(self, schema, next(iter(self.operations), None)),
    ),
}


# sent to each mutant: for most, the first few suffice
ASKED_OF_MUTANTS = [("both", request) for request in QUERIES] + [("broken", request) for request in QUERIES_OF_BROKEN]
ACCEPT = {"content-type": "application/json", "accept": "application/graphql-response+json"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def wanted(both: TwinApis, broken: TwinApis) -> list[Answer]:
    """The answers to these requests without compiled functions."""
    logs = {"both": both.plain, "broken": broken.plain}
    return [await ask(logs[log], json.dumps(request).encode(), ACCEPT) for log, request in ASKED_OF_MUTANTS]


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS)
async def test_every_mistake_in_the_compiler_is_detected(
    mutant: Mutant,
    wanted: list[Answer],
    world: SampleApi,
    broken: TwinApis,
    broken_services: tuple[Settings, Services],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(self_check, "passes", lambda: True)  # which would detect most of them
    mutant(monkeypatch)
    logs = {
        "both": twin_apis(world.settings, world.api.services).compiled,
        "broken": twin_apis(*broken_services).compiled,
    }
    for (log, request), expected in zip(ASKED_OF_MUTANTS, wanted, strict=True):
        try:
            found = await ask(logs[log], json.dumps(request).encode(), ACCEPT)
        except Exception:
            return
        if found != expected:
            return
    pytest.fail("nobody noticed")


async def test_without_a_mistake_nothing_is_detected(both: TwinApis, broken: TwinApis, wanted: list[Answer]) -> None:
    logs = {"both": both.compiled, "broken": broken.compiled}
    for (log, request), expected in zip(ASKED_OF_MUTANTS, wanted, strict=True):
        assert await ask(logs[log], json.dumps(request).encode(), ACCEPT) == expected
