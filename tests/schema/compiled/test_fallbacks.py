"""Whenever graphql-core takes over from compiled code, this is counted by reason; in ordinary use it never happens."""

import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from eventscope.app import services
from eventscope.schema.build import build
from eventscope.schema.compiled import compiler, executor, plan, self_check
from eventscope.schema.compiled.compiler import Compiler
from eventscope.schema.compiled.executor import CompiledExecutor
from eventscope.schema.compiled.fallbacks import (
    ERROR,
    REASONS,
    SELF_CHECK,
    TOO_LARGE,
    TOO_MANY_VARIANTS,
    UNEXPECTED,
    UNUSUAL_VALUE,
)
from eventscope.schema.context import Context, Services
from eventscope.schema.direct import Direct
from eventscope.schema.limits.limits import Limits
from tests.schema.support.example_requests import QUERIES
from tests.schema.support.twin_apis import ask, metrics_of, twin_apis
from tests.support.sample_log import SampleApi

pytestmark = pytest.mark.asyncio(loop_scope="session")

IDS = "{ events(first: 9) { nodes { id } } }"


class Reasons(Counter[str]):
    """Observes operations, and counts the fallbacks by their reasons."""

    def on_operation(self, kind: str, code: str, seconds: float) -> None: ...

    def on_fallback(self, reason: str) -> None:
        self[reason] += 1


@pytest.fixture(autouse=True)
def compiled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CompiledExecutor, "warm", 1)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def broken(sample: SampleApi) -> AsyncIterator[Services]:
    """A log with one event that no ingester would write."""
    settings = sample.settings.model_copy(update={"mongo_database": f"{sample.settings.mongo_database}_fallbacks"})
    async with services(settings) as found:
        row = {"_id": 1, "messageId": "m1", "type": None, "timestamp": 0, "recordedAt": 0, "version": "one"}
        await found.log.events.insert_one(row)
        await found.log.meta.insert_one({"_id": "checkpoint", "head": 1})
        yield found
        await found.log.mongo.client.drop_database(settings.mongo_database)


async def reasons(services: Services, *queries: str, **variables: Any) -> Reasons:
    """The reasons for the fallbacks of these queries, none of which goes through the pipeline."""
    found = Reasons()
    direct = Direct(build(found), Limits(), 10.0, found)
    for query in queries:
        assert await direct.execute(query, variables, None, lambda: Context(services)) is not None
    return found


async def test_ordinary_requests_never_fall_back(sample: SampleApi) -> None:
    app = twin_apis(sample.settings, sample.api.services).compiled
    for _ in range(3):
        for request in QUERIES:
            await ask(app, json.dumps(request).encode())
    assert await counted(app) == {}


async def test_a_value_that_does_not_fit_its_type_is_unusual(broken: Services) -> None:
    assert await reasons(broken, "{ events { nodes { type } } }") == {UNUSUAL_VALUE: 1}


async def test_a_value_that_cannot_be_serialized_is_an_error(broken: Services) -> None:
    assert await reasons(broken, "{ events { nodes { version } } }") == {ERROR: 1}


async def test_the_plain_fields_of_an_object_are_counted_like_whole_objects(broken: Services) -> None:
    assert await reasons(broken, "{ events { nodes { version cause { id } } } }") == {ERROR: 1}


async def test_a_query_whose_function_is_known_counts_once_each_time(broken: Services) -> None:
    assert await reasons(broken, *3 * ["{ events { nodes { version } } }"]) == {ERROR: 3}


async def test_an_unforeseen_error_is_logged_once_and_counted_each_time(
    sample: SampleApi, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source = Compiler._source

    def without_memory(self: Compiler, result: str) -> str:
        self.names["fail"] = _fail
        return f"{source(self, result)[: -len(f'    return {result}')]}    fail()"

    monkeypatch.setattr(Compiler, "_source", without_memory)
    assert await reasons(sample.api.services, *3 * [IDS]) == {UNEXPECTED: 3}
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert "compiled code failed" in record.getMessage()


async def test_an_argument_that_cannot_be_converted_is_counted_and_explained_by_graphql_core(
    sample: SampleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "convert_argument", _fail)
    filtered = '{ events(filter: {userId: "alice"}) { nodes { id } } }'
    variable = 'query ($u: ID = "alice") { events(filter: {userId: $u}) { nodes { id } } }'
    assert await reasons(sample.api.services, filtered, variable) == {UNEXPECTED: 2}


async def test_wrong_arguments_do_not_count_as_a_fallback(sample: SampleApi) -> None:
    null = 'query ($p: String = "x") { events(filter: {data: [{path: $p, exists: true}]}) { nodes { id } } }'
    assert await reasons(sample.api.services, "{ events(first: 1001) { nodes { id } } }", null, p=None) == {}


@pytest.mark.parametrize(("name", "bound"), [("MOST_LINES", 1), ("compile", MemoryError)])
async def test_a_selection_too_large_to_compile_is_counted_once(
    name: str, bound: Any, sample: SampleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler, name, bound if isinstance(bound, int) else _raising(bound), raising=False)
    assert (await reasons(sample.api.services, *3 * [IDS]))[TOO_LARGE] == 1


@pytest.mark.parametrize(("module", "name"), [(executor, "MOST_SELECTIONS"), (plan, "MOST_ROOTS")])
async def test_a_request_over_the_limit_of_variants_is_counted_once(
    module: object, name: str, sample: SampleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, name, 0)
    assert await reasons(sample.api.services, IDS, IDS) == {TOO_MANY_VARIANTS: 2}


async def test_a_failed_self_check_is_counted(sample: SampleApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_check, "passes", lambda: False)
    assert await counted(twin_apis(sample.settings, sample.api.services).compiled) == {SELF_CHECK: 1}


async def test_each_reason_is_in_the_metric(sample: SampleApi, broken: Services) -> None:
    app = twin_apis(sample.settings, broken).compiled
    await ask(app, json.dumps({"query": "{ events { nodes { type } } }"}).encode())
    await ask(app, json.dumps({"query": "{ events { nodes { version } } }"}).encode())
    assert await counted(app) == {UNUSUAL_VALUE: 1, ERROR: 1}
    assert len(set(REASONS)) == len(REASONS) == 6


async def counted(app: Any) -> dict[str, float]:
    """The fallbacks in the application's metrics, by reason."""
    return {
        one.labels["reason"]: one.value
        for family in text_string_to_metric_families(await metrics_of(app))
        for one in family.samples
        if one.name == "eventscope_compiled_fallbacks_total"
    }


def _fail(*_: object, **__: object) -> Any:
    raise RuntimeError("nobody foresaw this")


def _raising(error: type[Exception]) -> Callable[..., Any]:
    def fail(*_: object) -> Any:
        raise error

    return fail
