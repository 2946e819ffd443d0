"""The two drivers behind one interface, their errors translated into ours."""

from collections.abc import Callable
from typing import Any, Final

import pytest
from pymongo.errors import BulkWriteError, OperationFailure

from eventscope.errors import QuestionTimedOut, TooLargeTogether, Unstorable
from eventscope.store.log import Log, server_version, synchronise
from eventscope.store.mongo.driver import Document
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.mongo.failure import refuses
from eventscope.store.state import checkpoint
from tests.store.support.appender import Appender, event
from tests.support.until import until

# ten billion rows from one: nobody waits for the last
MANY = {"$range": [0, 100_000]}
SLOW_PIPELINE: list[Document] = [
    {"$project": {"n": MANY}},
    {"$unwind": "$n"},
    {"$project": {"n": MANY}},
    {"$unwind": "$n"},
    {"$count": "n"},
]
SLOW: dict[str, Callable[[Log], Any]] = {
    "a search": lambda log: log.events.find({"$where": "while (true) {}"}).to_list(None),
    "a pipeline": lambda log: log.mongo.aggregate(log.events, SLOW_PIPELINE),
}


@pytest.mark.parametrize("question", SLOW.values(), ids=SLOW.keys())
async def test_a_query_that_takes_mongodb_too_long_is_ended_there_too(
    log: Log, appender: Appender, question: Callable[[Log], Any]
) -> None:
    await appender.store(event())
    said = r"longer than 0\.5 seconds; narrow the query"
    with pytest.raises(QuestionTimedOut, match=said) as late, translate_errors(0.5):
        await question(log)
    assert late.value.seconds == 0.5

    async def ended() -> bool:
        run_server = {"currentOp": 1, "ns": f"{log.mongo.database.name}.events", "active": True}
        return not (await log.mongo.client.admin.command(run_server))["inprog"]

    await until(ended)


async def test_a_document_that_mongodb_refuses_is_unstorable(log: Log, appender: Appender) -> None:
    for data in ({"nul\0": 1}, 2**63, "x" * 17_000_000, object(), {1: 2}):
        with pytest.raises(Unstorable):
            await appender.store(hostile(data))
        assert await checkpoint.read(log) == appender.at
    assert (await appender.store(event())).head == 1


def hostile(data: object) -> Any:
    """A message with data that JSON cannot express, as only a bug of ours could create it."""
    message = event()
    return type(message)(message.arrival, {**message.fields, "data": data}, message.expected_version)


async def test_errors_that_are_our_own_fault_are_not_translated(log: Log) -> None:
    with pytest.raises(OperationFailure, match=r"unknown operator: \$nonsense"), translate_errors(1.0):
        await log.events.find_one({"type": {"$nonsense": 1}})


TOO_LARGE: Final = {"code": 388, "errmsg": "-31800: transaction is too large and will not fit"}


@pytest.mark.parametrize(
    "error",
    [
        OperationFailure("too large", 388, TOO_LARGE),
        OperationFailure("too large", 257, {"code": 257, "errmsg": "Total size of all transaction operations"}),
        BulkWriteError({"writeErrors": [{"index": 5, **TOO_LARGE}]}),
    ],
)
def test_a_transaction_that_is_too_large_is_not_the_fault_of_its_content(error: OperationFailure) -> None:
    assert not refuses(error)
    with pytest.raises(TooLargeTogether), translate_errors(1.0):
        raise error


async def test_writes_wait_for_a_majority_and_its_journal(log: Log) -> None:
    concern = log.events.write_concern.document
    assert (concern["w"], concern["j"]) == ("majority", True)
    assert log.events.read_concern.level == "majority"


async def test_the_server_reports_its_version(log: Log) -> None:
    await synchronise(log)
    assert [part.isdigit() for part in (await server_version(log)).split(".")] == [True, True, True]
