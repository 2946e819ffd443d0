"""Answers of MongoDB whose documents stay bytes until they have been counted."""

from typing import Any

import pytest
from bson import decode, decode_all, encode
from bson.codec_options import DEFAULT_CODEC_OPTIONS

from eventscope.errors import TooComplex
from eventscope.store.mongo.budget import ReadBudget
from eventscope.store.mongo.raw import ANSWER, Answer

DOCUMENTS: list[dict[str, Any]] = [{"_id": n, "data": {"values": [n, None, "ä"]}} for n in range(30)]
REST: dict[str, Any] = {"ok": 1.0, "$clusterTime": {"signature": {"keyId": 0}}}


def answer(document: dict[str, Any]) -> Answer:
    """An answer as the driver creates it."""
    [made] = decode_all(encode(document), ANSWER)
    assert isinstance(made, Answer)
    return made


async def test_documents_are_those_of_the_first_batch_and_everything_else_is_as_usual() -> None:
    made = answer({"cursor": {"firstBatch": DOCUMENTS, "id": 0, "ns": "a.b"}, **REST})
    assert await made.documents(ReadBudget(), DEFAULT_CODEC_OPTIONS) == DOCUMENTS
    assert made == REST


async def test_members_may_be_in_any_order() -> None:
    made = answer({**REST, "cursor": {"id": 0, "ns": "a.b", "firstBatch": DOCUMENTS}})
    assert await made.documents(ReadBudget(), DEFAULT_CODEC_OPTIONS) == DOCUMENTS
    assert made.keys() == REST.keys()
    assert decode(made["$clusterTime"].raw) == REST["$clusterTime"]


async def test_large_documents_are_the_same_wherever_they_are_split() -> None:
    made = answer({"cursor": {"firstBatch": DOCUMENTS, "id": 0, "ns": "a.b"}, **REST})
    assert await made.documents(ReadBudget(), DEFAULT_CODEC_OPTIONS, small=100) == DOCUMENTS


@pytest.mark.parametrize("small", [100, 1024**2])
async def test_what_exceeds_the_budget_is_refused(small: int) -> None:
    made = answer({"cursor": {"firstBatch": DOCUMENTS, "id": 0, "ns": "a.b"}, **REST})
    with pytest.raises(TooComplex):
        await made.documents(ReadBudget(1000), DEFAULT_CODEC_OPTIONS, small)


async def test_an_error_is_a_dictionary_at_every_level() -> None:
    """Otherwise the driver overlooks that the primary has stepped down, and believes that it no longer answers."""
    failure = {"ok": 0.0, "code": 189, "errmsg": "stepped down", "topologyVersion": {"processId": "a", "counter": 1}}
    made = answer(failure)
    assert isinstance(made, dict) and type(made["topologyVersion"]) is dict
    assert made == failure
    assert await made.documents(ReadBudget(), DEFAULT_CODEC_OPTIONS) == []
