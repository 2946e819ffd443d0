"""A check at the start compares compiled functions with graphql-core; if they differ, none are used."""

from importlib.metadata import version
from typing import Any

import pytest
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from eventscope.schema.compiled import compiler, self_check
from eventscope.schema.compiled.executor import CompiledExecutor
from tests.schema.support.example_requests import QUERIES
from tests.schema.support.twin_apis import twin_apis
from tests.support.sample_log import SampleApi


def _fail(*_: object, **__: object) -> Any:
    raise AttributeError("no such thing in this version")


def test_with_the_installed_versions_both_ways_give_the_same_answers(caplog: pytest.LogCaptureFixture) -> None:
    assert self_check.passes()
    assert not caplog.records


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (CompiledExecutor, "complete_value"),
        (CompiledExecutor, "execute_fields"),
        (CompiledExecutor, "__init__"),
        (compiler, "convert"),
    ],
)
def test_a_version_that_behaves_differently_is_detected_and_reported(
    owner: object, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(owner, name, _fail if name != "convert" else lambda serialize, value: value)
    assert not self_check.passes()
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert "not compiled" in record.getMessage()


@pytest.mark.asyncio(loop_scope="session")
async def test_then_everything_is_answered_without_compiled_functions(
    sample: SampleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CompiledExecutor, "__init__", _fail)
    both = twin_apis(sample.settings, sample.api.services)
    for request in QUERIES[:9]:
        assert await both.differ(request) is None


def test_a_version_that_lacks_an_internal_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(StrawberryGraphQLCoreExecutionContext, "settle_in_background", lambda self: None)
    assert not self_check.passes()
    [message] = caplog.messages
    assert f"graphql-core {version('graphql-core')} lacks StrawberryGraphQLCoreExecutionContext" in message
    assert "settle_in_background(awaitables)" in message
