"""How long a server works on a bomb before it refuses it, and how long a small query takes meanwhile.

python -m benchmarks.bombs [--rounds 30]
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import uvloop

from eventscope.dev.servers import Mongod, Nats, run_server
from eventscope.processes.ports import free
from eventscope.settings import Settings
from eventscope.store.log import open_log, prepare
from tests.program.hostile.bombs import BOMBS
from tests.support import processes
from tests.support.until import until

SMALL = orjson.dumps({"query": "{ stats { totalEvents } }"})
JSON = {"content-type": "application/json"}


async def measure(http: httpx.AsyncClient, body: bytes) -> tuple[float, float, str]:
    """The milliseconds until the refusal, those of a small query sent at the same moment, and the error code."""
    (answer, refusal), (_, small) = await asyncio.gather(_timed(http, body), _timed(http, SMALL))
    return refusal, small, answer["errors"][0]["extensions"]["code"]


async def _timed(http: httpx.AsyncClient, body: bytes) -> tuple[Any, float]:
    began = time.perf_counter()
    response = await http.post("/graphql", content=body, headers=JSON)
    return response.json(), (time.perf_counter() - began) * 1000


@asynccontextmanager
async def served(mongo_url: str, nats_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an API process, which runs for the length of the block."""
    settings = Settings(mongo_url=mongo_url, nats_url=nats_url, port=free())
    async with open_log(mongo_url, settings.mongo_database) as log:
        await prepare(log)
    url = f"http://127.0.0.1:{settings.port}"
    async with (
        processes.eventscope_process(settings, "serve", "--no-ingest"),
        httpx.AsyncClient(base_url=url, timeout=60.0) as http,
    ):
        await until(lambda: _answers(http))
        yield http


async def _answers(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/healthz")).is_success
    except httpx.TransportError:
        return False


async def compare(mongo_url: str, nats_url: str, rounds: int) -> None:
    """Print a table: one row for each bomb."""
    async with served(mongo_url, nats_url) as http:
        await _timed(http, SMALL)
        alone = statistics.median([(await _timed(http, SMALL))[1] for _ in range(rounds)])
        print(f"{'bomb':34}{'bytes':>8}{'ms to refusal':>16}{'worst':>8}{'small query ms':>16}  code")
        print(f"{'(none)':34}{'':>8}{'':>16}{'':>8}{alone:16.1f}")
        for name, (bomb, size) in BOMBS.items():
            body = orjson.dumps({"query": bomb(size)})
            # the server caches documents it has seen, so each round sends another form
            forms = [body.replace(b"{", b"{" + b" " * n, 2) for n in range(rounds)]
            found = [await measure(http, form) for form in forms]
            refusals, small, codes = zip(*found, strict=True)
            refusal, worst, other = statistics.median(refusals), max(refusals), statistics.median(small)
            print(f"{name:34}{len(body):8}{refusal:16.1f}{worst:8.1f}{other:16.1f}  {codes[0]}")


def main() -> None:
    """Run it with embedded servers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        run_server(Mongod, Path(folder, "mongod")) as mongod,
        run_server(Nats, Path(folder, "nats")) as nats,
    ):
        uvloop.run(compare(mongod.url, nats.url, args.rounds))


if __name__ == "__main__":
    main()
