"""The guide to REST: every request in it runs on the log that the guides describe, and gets the answer it shows."""

import json
import re
from pathlib import Path

from eventscope.http.rest import PARAMETERS
from tests.support.guide_log import running_guide_api

GUIDE = (Path(__file__).parents[2] / "docs" / "rest.md").read_text()
SHOWN = re.findall(r"```http\nGET (\S+)\n```\s*```json\n(.*?)```", GUIDE, re.DOTALL)


async def test_every_request_of_the_guide_gets_the_answer_that_is_shown(mongo_url: str, nats_url: str) -> None:
    assert {path.partition("?")[0] for path, _ in SHOWN} == {
        f"/events/{name}" for name in ("history", "replay", "aggregate", "stats")
    }
    async with running_guide_api(mongo_url, nats_url) as api:
        for path, answer in SHOWN:
            response = await api.http.get(path)
            assert response.json() == json.loads(answer), path


def test_every_parameter_is_documented_in_the_guide() -> None:
    told = re.findall(r"^\| `(\w+)` \|", GUIDE, re.MULTILINE)
    assert told == list(PARAMETERS)
