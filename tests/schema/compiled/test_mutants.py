"""A mistake in compiled execution is seen: some answer to these requests differs from that of graphql-core."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from eventscope.http import fast_path
from eventscope.schema.build import Schema
from eventscope.schema.compiled import compiler, documents, plan, selection, self_check
from eventscope.schema.compiled.compiler import Compiler
from eventscope.schema.compiled.documents import PreparedDocument
from eventscope.schema.compiled.executor import CompiledExecutor, OperationPlans
from eventscope.schema.context import Services
from eventscope.schema.limits.limits import Limits
from eventscope.settings import Settings
from tests.schema.support.broken_rows import QUERIES_OF_BROKEN
from tests.schema.support.example_requests import QUERIES
from tests.schema.support.twin_apis import Answer, TwinApis, ask, twin_apis
from tests.support.sample_log import SampleApi

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    # if one of many fields fails, graphql-core cancels the others before some of them have started
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
]

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
async def wanted(twins: TwinApis, broken_twins: TwinApis) -> list[Answer]:
    """The answers to these requests without compiled functions."""
    logs = {"both": twins.plain, "broken": broken_twins.plain}
    return [await ask(logs[log], json.dumps(request).encode(), ACCEPT) for log, request in ASKED_OF_MUTANTS]


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS)
async def test_every_mistake_in_the_compiler_is_detected(
    mutant: Mutant,
    wanted: list[Answer],
    sample: SampleApi,
    broken_twins: TwinApis,
    broken_services: tuple[Settings, Services],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(self_check, "passes", lambda: True)  # which would detect most of them
    mutant(monkeypatch)
    logs = {
        "both": twin_apis(sample.settings, sample.api.services).compiled,
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


async def test_without_a_mistake_nothing_is_detected(
    twins: TwinApis, broken_twins: TwinApis, wanted: list[Answer]
) -> None:
    logs = {"both": twins.compiled, "broken": broken_twins.compiled}
    for (log, request), expected in zip(ASKED_OF_MUTANTS, wanted, strict=True):
        assert await ask(logs[log], json.dumps(request).encode(), ACCEPT) == expected
