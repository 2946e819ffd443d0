"""Ingest: events per second, delays and memory, compared with a floor and with peers in one run.

    make bench            (or: python -m benchmarks.ingest --events 40000 --rounds 3 --driver motor)
    python -m benchmarks.ingest --memory

Each round measures everything in turn on a fresh database, so the ratios hold even if the machine's speed drifts; the
figures are medians. MongoDB and NATS are the embedded ones; ingester and API are separate processes, as in production.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from statistics import median

import uvloop

from benchmarks.ingest_delay import PACE, QUERIED_EVERY, push_delays, query_delays
from benchmarks.ingest_memory import memory
from benchmarks.ingest_peers import Peer, peers
from benchmarks.ingest_rate import ingest_path, inserts, transactions
from benchmarks.sheet import RESULTS, Sheet
from benchmarks.stage import Servers, serving
from eventscope.store.log import open_log, server_version

SLOW_PEER = 10_000  # events at most, where each is appended by itself


async def rates(servers: Servers, sheet: Sheet, events: int, rounds: int, compared: Sequence[Peer]) -> None:
    """The whole path, the floor, and the peers."""
    paths, floors, alone = list[float](), list[float](), list[float]()
    others: dict[Peer, list[float]] = {peer: [] for peer in compared}
    for turn in range(rounds):
        floors.append(await inserts(servers, events, f"bare{turn}"))
        paths.append(await ingest_path(servers, events, f"whole{turn}"))
        alone.append(await transactions(servers, events, f"written{turn}"))
        for number, peer in enumerate(compared):
            count = min(events, SLOW_PEER) if peer.one else events
            others[peer].append(await peer.rate(servers, count, f"peer{number}{turn}"))
    sheet.add("Eventscope, from NATS into the log", f"{median(paths):,.0f} events/s")
    sheet.add("bare insert_many into the same indexes", f"{median(floors):,.0f}/s", _over(paths, floors), "≥ 0.50")
    sheet.add("the same transactions alone, prepared beforehand", f"{median(alone):,.0f}/s", _over(paths, alone))
    sheet.notes.append(f"These transactions alone reach {_over(alone, floors)} of bare insert_many.")
    for peer, peer_rates in others.items():
        sheet.add(peer.name, f"{median(peer_rates):,.0f}/s", _over(paths, peer_rates), "> 1")
    sheet.notes.append(
        f"Rates are medians of {rounds} rounds of {events:,} events; a ratio is Eventscope's rate over the other."
    )
    sheet.versions |= dict(peer.version for peer in compared)
    if compared:
        sheet.notes += NOTES


NOTES = (
    "All store the same events of the same aggregates. emmett writes to the same MongoDB with majority and journal,"
    " 8 or 32 appends in flight, never two on one stream; its best batch is all events of a stream. pyeventsourcing"
    " keeps its aggregates in memory, and writes to PostgreSQL with default settings, or to a SQLite file (WAL,"
    " synchronous FULL) in its own process, with no server in between.",
    "The peers keep no index but that of stream and version, no positions and no statistics, and detect no duplicates.",
)


async def delays(servers: Servers, sheet: Sheet, seconds: float) -> None:
    """Delays from publishing to the live batch, to a query and to a WebSocket client."""
    live, pushed = await push_delays(servers, seconds, "push")
    queried = await query_delays(servers, seconds, "query")
    sheet.add("published → live batch", *_delay(live))
    sheet.add("published → visible in a query", *_delay(queried))
    sheet.add("published → WebSocket", *_delay(pushed))
    sheet.notes.append(
        f"Delays at {PACE} events/s for {seconds:g} s. One event in {QUERIED_EVERY} is queried over HTTP by its id,"
        " again and again until it is found, so each figure includes at least one whole query."
    )


async def measure_memory(servers: Servers, sheet: Sheet, events: int) -> None:
    """The ingester's memory."""
    usage = await memory(servers, events, "memory")
    for stored, resident in usage.table:
        sheet.add(f"ingester after {stored} events", resident)
    sheet.add("growth per million events, after the first fifth", f"{usage.slope:+.1f} MiB", bar="flat")


async def measure(servers: Servers, args: argparse.Namespace, sheet: Sheet) -> None:
    """Measure what the arguments select."""
    async with open_log(servers.mongo, "admin", servers.driver) as log:
        sheet.versions |= {"MongoDB": await server_version(log), args.driver: version(args.driver)}
    if args.memory:
        await measure_memory(servers, sheet, args.events)
        return
    with peers() if args.peers else nullcontext(list[Peer]()) as compared:
        await rates(servers, sheet, args.events, args.rounds, compared)
    await delays(servers, sheet, args.seconds)


def _over(paths: Sequence[float], others: Sequence[float]) -> str:
    return f"{median(path / other for path, other in zip(paths, others, strict=True)):.2f}"


def _delay(delays: Sequence[float]) -> tuple[str, str, str]:
    delays = sorted(delays)
    middle, late = delays[len(delays) // 2], delays[int(len(delays) * 0.99)]
    return f"p50 {middle:.1f} ms, p99 {late:.1f} ms", "", "≤ 10, ≤ 30 ms"


def main() -> None:
    """Start the servers, measure, print the sheet and write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, help="40,000 by default, 1,000,000 for memory")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=30.0, help="for each delay")
    parser.add_argument("--driver", choices=("motor", "pymongo"), default="motor")
    parser.add_argument("--memory", action="store_true", help="measure only the ingester's memory; this takes minutes")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder to write to")
    args = parser.parse_args()
    args.events = args.events or (1_000_000 if args.memory else 40_000)
    name = "ingest_memory" if args.memory else "ingest"
    sheet = Sheet(
        "Ingest: memory" if args.memory else "Ingest", " ".join(["python -m benchmarks.ingest", *sys.argv[1:]])
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder), args.driver) as servers,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(measure(servers, args, sheet))
    sheet.show()
    sheet.write(args.results / f"{name}.md")


if __name__ == "__main__":
    main()
