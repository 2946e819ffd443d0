"""The guide to exploring: every query in it runs on the log that it describes, and gets the answer it shows."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.api_server import RunningApi
from tests.support.guide_log import running_guide_api

GUIDE = Path(__file__).parents[2] / "docs" / "exploring.md"
SHOWN = re.findall(r"```graphql\n(.*?)```\s*```json\n(.*?)```", GUIDE.read_text(), re.DOTALL)


@pytest.fixture
async def api(mongo_url: str, nats_url: str) -> AsyncIterator[RunningApi]:
    """The API over the log of the guide."""
    async with running_guide_api(mongo_url, nats_url) as api:
        yield api


async def test_every_query_of_the_guide_gets_the_answer_that_is_shown(api: RunningApi) -> None:
    assert len(SHOWN) >= 7
    for query, answer in SHOWN:
        assert await api.ask(query) == json.loads(answer), query


def test_no_query_of_the_guide_lacks_its_answer() -> None:
    assert len(SHOWN) == GUIDE.read_text().count("```graphql")
