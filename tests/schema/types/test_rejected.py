"""Rejected messages: what could not be stored as an event is kept whole, with the reason."""

import base64
from typing import Any

import pytest

from tests.support.sample_log import SampleApi

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAGE = """query ($first: Int, $after: String) {
  rejectedEvents(first: $first, after: $after) {
    edges { cursor } nodes { code reason subject headers raw recordedAt }
    pageInfo { hasNextPage endCursor } totalCount { atLeast exact }
  }
}"""


async def rejected(sample: SampleApi, **asked: Any) -> Any:
    return (await sample.api.ask(PAGE, **asked))["rejectedEvents"]


async def test_the_newest_comes_first_with_its_code_and_its_exact_bytes(sample: SampleApi) -> None:
    found = (await rejected(sample))["nodes"]
    assert [base64.b64decode(one["raw"]) for one in found] == sample.rejected[::-1]
    codes = ["INVALID_TIMESTAMP", "INVALID_TYPE", "MISSING_TYPE", "NOT_AN_OBJECT", "INVALID_JSON"]
    assert [one["code"] for one in found] == codes
    assert all(one["reason"] and one["subject"] == "events" and "Trace" in one["headers"] for one in found)


async def test_rejected_messages_come_in_pages(sample: SampleApi) -> None:
    whole = (await rejected(sample))["nodes"]
    first = await rejected(sample, first=2)
    second = await rejected(sample, first=3, after=first["pageInfo"]["endCursor"])
    assert first["nodes"] + second["nodes"] == whole
    assert first["pageInfo"]["hasNextPage"]
    assert not second["pageInfo"]["hasNextPage"]
    assert first["totalCount"] == {"atLeast": 5, "exact": 5}
