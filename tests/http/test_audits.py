"""GraphQL over HTTP passes the audits of graphql-http, the suite of the specification's authors."""

import asyncio
import json
import shutil
from pathlib import Path

from eventscope.settings import Settings
from tests.support.api_server import running_api
from tests.support.requirements import leave_out

WEB = Path(__file__).parents[2] / "web"
AUDITS = 61


async def test_all_61_audits_pass(settings: Settings) -> None:
    node = shutil.which("node")
    if node is None or not (WEB / "node_modules" / "graphql-http").exists():
        leave_out("the audits need Node and what `make web` installs")
    async with running_api(settings) as api:
        url = f"{api.http.base_url}/graphql"
        run = await asyncio.create_subprocess_exec(
            node, "audits.js", url, cwd=WEB, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        said, complaints = await run.communicate()
    assert run.returncode == 0, complaints.decode()
    found = json.loads(said)
    assert [audit for audit in found if audit["status"] != "ok"] == []
    assert len(found) == AUDITS
