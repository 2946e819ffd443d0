"""How fast Eventscope, a bare route and other servers answer pages of events from the same log.

The answers are checked to be equal before anything is timed. The servers take turns in each round, so the ratios hold
even if the machine's speed drifts; the figures are medians. CPU is that of the server's process for one answer.
"""

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from benchmarks import http_client
from benchmarks.ingest_peers import PLACE, npm_install
from benchmarks.server_process import DRIVERS, EVENTSCOPE, PYTHON, ReadServer, cpu, is_ready, memory, started
from eventscope.store.values.moment import from_text

FIELDS = "id position type timestamp recordedAt aggregateType aggregateId version userId correlationId data metadata"
QUERY = (
    f"query Page($first: Int!) {{ events(first: $first) {{ edges {{ cursor node {{ {FIELDS} }} }}"
    " pageInfo { hasNextPage endCursor } } }"
)
TIMES = ("timestamp", "recordedAt")
CONNECTIONS = 16
EXPECTED: dict[int, Any] = {}  # the first answer of each size


@dataclass(frozen=True, slots=True)
class Figure:
    """The figures of one server for one page size."""

    server: str
    driver: str
    size: int
    per_second: float
    cpu: float
    memory: float


def servers(nats: str) -> list[ReadServer]:
    """The servers to compare. Each file `peers/read_….json` adds one: {"name": …, "command": […]}."""
    mongo = {"EVENTSCOPE_NATS_URL": nats, "EVENTSCOPE_TAIL_EVENTS": "0"}  # it reads from MongoDB, as all others do
    servers = []
    for driver in DRIVERS:
        servers += [
            ReadServer("floor", [*PYTHON, "benchmarks.read_floor"], driver),
            ReadServer("eventscope", EVENTSCOPE, driver, mongo),
            ReadServer("eventscope (memory)", EVENTSCOPE, driver, {"EVENTSCOPE_NATS_URL": nats}),
            ReadServer("not compiled", EVENTSCOPE, driver, mongo | {"EVENTSCOPE_COMPILED": "off"}),
            ReadServer("stock Strawberry", [*PYTHON, "benchmarks.read_strawberry"], driver),
        ]
    npm_install(PLACE / "mercurius")
    for peer in sorted(PLACE.glob("read_*.json")):
        servers.append(ReadServer(**orjson.loads(peer.read_bytes())))
    return servers


async def measure(
    compared: Sequence[ReadServer], mongo: str, database: str, sizes: Sequence[int], rounds: int, seconds: float
) -> list[Figure]:
    """Check that all servers give the same answers, and time them in turn."""
    samples: dict[tuple[str, str, int], list[tuple[float, float, float]]] = {}
    for turn in range(rounds):
        for server in compared:
            with started(server, mongo, database) as (port, process):
                if not await is_ready(port, http_client.post_request(port, _body(sizes[0])), process):
                    print(f"{server.name} does not start and is left out", file=sys.stderr)
                    continue
                pid = process.pid
                for size in sizes:
                    request = http_client.post_request(port, _body(size))
                    if turn == 0:
                        _check(server, size, await http_client.answer(port, request))
                    await http_client.rate(port, request, 0.3, CONNECTIONS)
                    before = cpu(pid)
                    rate = await http_client.rate(port, request, seconds, CONNECTIONS)
                    each = (cpu(pid) - before) / max(1, rate.requests)
                    key = (server.name, server.driver, size)
                    samples.setdefault(key, []).append((rate.per_second, each * 1e6, memory(pid)))
    return [Figure(*key, *map(statistics.median, zip(*rows, strict=True))) for key, rows in samples.items()]


def _check(server: ReadServer, size: int, body: bytes) -> None:
    answer = orjson.loads(body)
    page = answer["data"]["events"]
    for holder, name in [(page["pageInfo"], "endCursor"), *((edge, "cursor") for edge in page["edges"])]:
        holder[name] = holder[name].partition(".")[0]  # only our cursors name their log
    for edge in page["edges"]:
        for name in TIMES:  # some write .000, some write .000000
            edge["node"][name] = from_text(edge["node"][name])
    if EXPECTED.setdefault(size, answer) != answer:
        raise SystemExit(f"{server.name} gives another answer than the others: {body[:600]!r}")
    if len(answer["data"]["events"]["edges"]) != size:
        raise SystemExit(f"the page has {len(answer['data']['events']['edges'])} events and not {size}")


def _body(size: int) -> bytes:
    return orjson.dumps({"query": QUERY, "variables": {"first": size}})


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
