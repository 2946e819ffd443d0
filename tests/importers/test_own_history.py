"""This repository's own history, imported through NATS and queried through the API."""

import io
import subprocess
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from eventscope.importers.run import import_events
from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.store.state import checkpoint
from tests.support.until import until

ROOT = Path(__file__).parents[2]
FILES = """
query Files($after: String) {
  aggregates(filter: {type: "file", deleted: false}, first: 100, after: $after) {
    nodes { id: aggregateId version eventCount lastEventType }
    pageInfo { hasNextPage endCursor }
  }
}
"""
COMMITS = """
{
  replay(filter: {eventTypes: ["commit.recorded"]}, first: 1000) {
    nodes { id correlationId userId timestamp data cause { id } }
  }
}
"""


def _git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=True)
    return [line for line in done.stdout.split("\0") if line]


async def test_the_history_of_this_repository_ends_with_the_files_it_has(
    settings: Settings, log: Log, api: str, ingesting: None
) -> None:
    for _ in range(2):  # the second import stores nothing more
        report = await import_events(
            f"git:{ROOT}",
            nats_url=settings.nats_url,
            stream=settings.stream,
            subjects=settings.subjects,
            console=Console(file=io.StringIO()),
        )
        assert report.bad_lines == 0
        await until(lambda: _all_is_read(api))
    assert (await checkpoint.read(log)).head == report.publications

    files: list[dict[str, Any]] = []
    after = None
    async with httpx.AsyncClient(base_url=api) as client:
        while True:
            page = (await _ask(client, FILES, after=after))["aggregates"]
            files += page["nodes"]
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
        commits = (await _ask(client, COMMITS))["replay"]["nodes"]

    assert sorted(file["id"] for file in files) == sorted(_git("ls-tree", "-r", "-z", "--name-only", "HEAD"))
    assert all(file["version"] == file["eventCount"] for file in files)
    parents = {hash: parents[:1] for hash, *parents in map(str.split, _git("log", "-z", "--format=%H %P", "HEAD"))}
    hashes = {commit["id"]: commit["correlationId"] for commit in commits}
    assert {
        commit["correlationId"]: [hashes[commit["cause"]["id"]]] if commit["cause"] else [] for commit in commits
    } == parents


async def _ask(client: httpx.AsyncClient, query: str, **variables: object) -> dict[str, Any]:
    answer = (await client.post("/graphql", json={"query": query, "variables": variables})).json()
    assert "errors" not in answer, answer
    found: dict[str, Any] = answer["data"]
    return found


async def _all_is_read(api: str) -> bool:
    async with httpx.AsyncClient(base_url=api) as client:
        return bool((await _ask(client, "{ log { ingestLag { events } } }"))["log"]["ingestLag"]["events"] == 0)
