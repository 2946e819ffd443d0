"""How fast pages of events are answered: Eventscope, a bare route, and others, on the same log in one run.

    python -m benchmarks.read --events 100000 --sizes 20,100,1000 --rounds 3

Each server gets a core of its own; the client and MongoDB share the other. Before anything is timed the answers are
checked to be equal. The rounds are interleaved, so that the ratios hold though the machine's speed drifts; medians are
printed. CPU is what the server's process took for one answer, whatever else runs on the machine.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import uvloop

from benchmarks import asking
from benchmarks.ingest_peers import PLACE, npm_install
from benchmarks.make_events import make
from eventscope.embedded import Mongod, Nats, running
from eventscope.guard import guarded, lifeline
from eventscope.ports import free
from eventscope.store.moment import from_text

RESULTS = Path(__file__).parent / "results"
FIELDS = "id position type timestamp recordedAt aggregateType aggregateId version userId correlationId data metadata"
QUERY = (
    f"query Page($first: Int!) {{ events(first: $first) {{ edges {{ cursor node {{ {FIELDS} }} }}"
    " pageInfo { hasNextPage endCursor } } }"
)
TIMES = ("timestamp", "recordedAt")
CONNECTIONS = 16
DRIVERS = ("motor", "pymongo")


@dataclass(frozen=True, slots=True)
class Server:
    """One that is compared: how it is started. MONGO, DATABASE, DRIVER and PORT are in its environment."""

    name: str
    command: Sequence[str]
    driver: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured of one server at one page size."""

    server: str
    driver: str
    size: int
    per_second: float
    cpu: float
    memory: float


def servers(nats: str) -> list[Server]:
    """All that are compared. Each file `peers/read_….json` adds one: {"name": …, "command": […]}."""
    python = [sys.executable, "-m"]
    eventscope = [*python, "eventscope", "serve", "--no-ingest"]
    found = []
    for driver in DRIVERS:
        found += [
            Server("floor", [*python, "benchmarks.read_floor"], driver),
            Server("eventscope", eventscope, driver, {"EVENTSCOPE_NATS_URL": nats}),
            Server("not compiled", eventscope, driver, {"EVENTSCOPE_NATS_URL": nats, "EVENTSCOPE_COMPILED": "off"}),
            Server("stock Strawberry", [*python, "benchmarks.read_strawberry"], driver),
        ]
    npm_install(PLACE / "mercurius")
    for peer in sorted(PLACE.glob("read_*.json")):
        found.append(Server(**orjson.loads(peer.read_bytes())))
    return found


@contextmanager
def started(server: Server, mongo: str, database: str, core: int) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The server on a core of its own; its port and its process."""
    port = free()
    driver = server.driver or DRIVERS[0]
    given = {"MONGO": mongo, "DATABASE": database, "DRIVER": driver, "PORT": str(port)}
    own = {"MONGO_URL": mongo, "MONGO_DATABASE": database, "MONGO_DRIVER": driver, "PORT": str(port)}
    process = subprocess.Popen(
        guarded(server.command),
        stdin=lifeline(),
        env={**os.environ, **given, **{f"EVENTSCOPE_{name}": value for name, value in own.items()}}
        | {"EVENTSCOPE_LOG_LEVEL": "warning"}
        | dict(server.environment),
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    try:
        yield port, process
    finally:
        process.terminate()
        process.wait()


async def measure(
    compared: Sequence[Server], mongo: str, database: str, sizes: Sequence[int], rounds: int, seconds: float
) -> list[Figure]:
    """Check that all answer the same, then time them in turn."""
    taken: dict[tuple[str, str, int], list[tuple[float, float, float]]] = {}
    for turn in range(rounds):
        for server in compared:
            with started(server, mongo, database, core=0) as (port, process):
                for size in sizes:
                    asked = asking.request(port, _body(size))
                    if not await _answers(port, asked, process):
                        print(f"{server.name} does not start, and is left out", file=sys.stderr)
                        break
                    pid = process.pid
                    if turn == 0:
                        _check(server, size, await asking.answer(port, asked))
                    await asking.rate(port, asked, 0.3, CONNECTIONS)
                    before = _cpu(pid)
                    rate = await asking.rate(port, asked, seconds, CONNECTIONS)
                    cpu = (_cpu(pid) - before) / max(1, rate.requests)
                    key = (server.name, server.driver, size)
                    taken.setdefault(key, []).append((rate.per_second, cpu * 1e6, _memory(pid)))
    return [Figure(*key, *map(statistics.median, zip(*rows, strict=True))) for key, rows in taken.items()]


EXPECTED: dict[int, Any] = {}


def _check(server: Server, size: int, body: bytes) -> None:
    answer = orjson.loads(body)
    for edge in answer["data"]["events"]["edges"]:
        for name in TIMES:  # some write .000, some write .000000
            edge["node"][name] = from_text(edge["node"][name])
    if EXPECTED.setdefault(size, answer) != answer:
        raise SystemExit(f"{server.name} answers otherwise than the others: {body[:600]!r}")
    if len(answer["data"]["events"]["edges"]) != size:
        raise SystemExit(f"the page has {len(answer['data']['events']['edges'])} events and not {size}")


async def _answers(port: int, asked: bytes, process: subprocess.Popen[bytes]) -> bool:
    """Wait for an answer; False when the server has ended."""
    async with asyncio.timeout(60):
        while process.poll() is None:
            try:
                await asking.answer(port, asked)
                return True
            except OSError:
                await asyncio.sleep(0.05)
    return False


def _body(size: int) -> bytes:
    return orjson.dumps({"query": QUERY, "variables": {"first": size}})


def _cpu(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def table(figures: Sequence[Figure]) -> str:
    """The figures in Markdown, with ratios to the floor of the same driver."""
    floors = {(figure.driver, figure.size): figure for figure in figures if figure.server == "floor"}
    lines = [
        "| server | driver | page | requests/s | of floor | CPU µs/request | of floor | memory MiB |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in sorted(figures, key=lambda figure: (figure.size, figure.driver, -figure.per_second)):
        floor = floors.get((one.driver or DRIVERS[0], one.size))
        speed = f"{one.per_second / floor.per_second:.2f}" if floor else ""
        cost = f"{one.cpu / floor.cpu:.2f}" if floor else ""
        lines.append(
            f"| {one.server} | {one.driver} | {one.size} | {one.per_second:,.0f} | {speed} | {one.cpu:,.0f} | {cost}"
            f" | {one.memory:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Start MongoDB and NATS, make the log, measure, print, and write the figures down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--sizes", default="20,100,1000", type=lambda text: [int(part) for part in text.split(",")])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--only", default="", help="names of servers, with commas")
    parser.add_argument("--data", type=Path, help="where the log is kept for the next run")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.data or Path(scratch)
        os.sched_setaffinity(0, set(range(os.cpu_count() or 1)) - {0} or {0})
        with running(Mongod, folder / "mongod") as mongod, running(Nats, Path(scratch) / "nats") as nats:
            compared = [one for one in servers(nats.url) if not given.only or one.name in given.only.split(",")]
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(make(mongod.url, "read", given.events, seed=1))
                figures = runner.run(measure(compared, mongod.url, "read", given.sizes, given.rounds, given.seconds))
    what = f"Pages out of {given.events:,} events, {datetime.now(UTC):%Y-%m-%d}, {given.rounds} rounds."
    text = f"{what}\n\n{table(figures)}\n"
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "read.md").write_text(text)
    (RESULTS / "read.json").write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2))


if __name__ == "__main__":
    main()
