"""How events come in: how many, how fast, beside whom, and at what cost of memory; ratios in one run.

    make bench            (or: python -m benchmarks.ingest --events 40000 --rounds 3 --driver motor)
    python -m benchmarks.ingest --memory

Each round does everything in turn on a fresh database, so that the ratios hold though the machine's speed drifts;
medians are given. MongoDB and NATS are the embedded ones, ingester and API are processes of their own as in production.
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

from benchmarks.ingest_delay import ASKED, PACE, found, told
from benchmarks.ingest_memory import memory
from benchmarks.ingest_peers import Peer, peers
from benchmarks.ingest_rate import bare, whole, written
from benchmarks.sheet import RESULTS, Sheet
from benchmarks.stage import Servers, serving
from eventscope.store.log import open_log, server_version

SLOW_PEER = 10_000  # events at most, where each is an append


async def rates(servers: Servers, sheet: Sheet, events: int, rounds: int, compared: Sequence[Peer]) -> None:
    """The whole path, the floor, and the peers."""
    paths, floors, alone = list[float](), list[float](), list[float]()
    others: dict[Peer, list[float]] = {peer: [] for peer in compared}
    for turn in range(rounds):
        floors.append(await bare(servers, events, f"bare{turn}"))
        paths.append(await whole(servers, events, f"whole{turn}"))
        alone.append(await written(servers, events, f"written{turn}"))
        for number, peer in enumerate(compared):
            count = min(events, SLOW_PEER) if peer.one else events
            others[peer].append(await peer.rate(servers, count, f"peer{number}{turn}"))
    sheet.add("Eventscope, from NATS into the log", f"{median(paths):,.0f} events/s")
    sheet.add("bare insert_many into the same indexes", f"{median(floors):,.0f}/s", _over(paths, floors), "≥ 0.50")
    sheet.add("the same transactions alone, made up beforehand", f"{median(alone):,.0f}/s", _over(paths, alone))
    sheet.notes.append(f"Of bare insert_many these transactions alone reach {_over(alone, floors)}.")
    for peer, taken in others.items():
        sheet.add(peer.name, f"{median(taken):,.0f}/s", _over(paths, taken), "> 1")
    sheet.notes.append(f"Rates are medians of {rounds} rounds of {events:,} events; a ratio is Eventscope's to that.")
    sheet.versions |= dict(peer.version for peer in compared)
    if compared:
        sheet.notes += NOTES


NOTES = (
    "All store the same events of the same aggregates. emmett writes to the same MongoDB with majority and journal,"
    " 8 or 32 appends in flight, never two on one stream; all events of a stream are its best batch. pyeventsourcing"
    " has its aggregates at hand, and writes to PostgreSQL as it comes, or to a SQLite file (WAL, synchronous FULL) in"
    " its own process, with no server in between.",
    "The peers keep no index but that of stream and version, no positions, no statistics, and know no duplicates.",
)


async def delays(servers: Servers, sheet: Sheet, seconds: float) -> None:
    """From publishing to wherever somebody sees it."""
    lived, pushed = await told(servers, seconds, "told")
    seen = await found(servers, seconds, "found")
    sheet.add("published → live batch", *_delay(lived))
    sheet.add("published → visible in a query", *_delay(seen))
    sheet.add("published → WebSocket", *_delay(pushed))
    sheet.notes.append(
        f"Delays at {PACE} events/s for {seconds:g} s. One event in {ASKED} is asked for over HTTP by its id, again and"
        " again until it is there, so each figure holds a whole question or more."
    )


async def kept(servers: Servers, sheet: Sheet, events: int) -> None:
    """The ingester's memory."""
    taken = await memory(servers, events, "memory")
    for stored, resident in taken.table:
        sheet.add(f"ingester after {stored} events", resident)
    sheet.add("more for each million events, after the first fifth", f"{taken.slope:+.1f} MiB", bar="flat")


async def measure(servers: Servers, given: argparse.Namespace, sheet: Sheet) -> None:
    """All that is wanted."""
    async with open_log(servers.mongo, "admin", servers.driver) as log:
        sheet.versions |= {"MongoDB": await server_version(log), given.driver: version(given.driver)}
    if given.memory:
        await kept(servers, sheet, given.events)
        return
    with peers() if given.peers else nullcontext(list[Peer]()) as compared:
        await rates(servers, sheet, given.events, given.rounds, compared)
    await delays(servers, sheet, given.seconds)


def _over(paths: Sequence[float], others: Sequence[float]) -> str:
    return f"{median(path / other for path, other in zip(paths, others, strict=True)):.2f}"


def _delay(taken: Sequence[float]) -> tuple[str, str, str]:
    taken = sorted(taken)
    middle, late = taken[len(taken) // 2], taken[int(len(taken) * 0.99)]
    return f"p50 {middle:.1f} ms, p99 {late:.1f} ms", "", "≤ 10, ≤ 30 ms"


def main() -> None:
    """Start the servers, measure, print, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, help="40,000; 1,000,000 for memory")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=30.0, help="for each delay")
    parser.add_argument("--driver", choices=("motor", "pymongo"), default="motor")
    parser.add_argument("--memory", action="store_true", help="only the ingester's memory; this takes minutes")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder to write to")
    given = parser.parse_args()
    given.events = given.events or (1_000_000 if given.memory else 40_000)
    name = "ingest_memory" if given.memory else "ingest"
    sheet = Sheet(
        "Events in: memory" if given.memory else "Events in", " ".join(["python -m benchmarks.ingest", *sys.argv[1:]])
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder), given.driver) as servers,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(measure(servers, given, sheet))
    sheet.show()
    sheet.write(given.results / f"{name}.md")


if __name__ == "__main__":
    main()
