"""What live delivery costs, how late it is, and how both grow: beside a bare route that sends a ready text, and peers.

    python -m benchmarks.live
    python -m benchmarks.live --clients 50 --messages 2000 --seconds 5 --rounds 1      (half a minute)

All servers run in one run and by turns, on the same events and with the same clients. What is measured is the CPU time
of the server's process, so the ratios hold though others use the machine. Before a figure counts, what each client was
sent is checked.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Final

import orjson
import uvloop

from benchmarks.live_cohort import Cost, cost
from benchmarks.live_paced import MANY, PACE, Filtered, delays, filtered
from benchmarks.live_servers import EVENTSCOPE, RAW, Server, peers, versions
from benchmarks.sheet import RESULTS, Sheet
from benchmarks.stage import Servers, scene, serving

CROWD: Final = 1000  # clients that all are compared with
BARS: Final = {"raw Starlette send_text": "≤ 1.5", "stock Strawberry": "≥ 10", "Mercurius": "≥ 2"}


@dataclass(slots=True)
class Figures:
    """All that was measured, by turns."""

    costs: dict[tuple[str, int], list[Cost]] = field(default_factory=dict)
    delays: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    filtered: list[Filtered] = field(default_factory=list)

    def cpu(self, server: Server, clients: int) -> str:
        """The middle of what a message cost, and the rate."""
        taken = self.costs[server.name, clients]
        rate = median(one.per_second for one in taken)
        return f"{median(one.cpu for one in taken):.1f} µs, {rate:,.0f}/s"

    def memory(self, clients: int) -> str:
        """What an idle client took."""
        return f"{median(one.memory for one in self.costs[EVENTSCOPE.name, clients]):.0f} KiB"

    def delay(self, server: Server, clients: int) -> str:
        """The middle and the end of all delays."""
        cuts = quantiles(self.delays[server.name, clients], n=100)
        return f"p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms"

    def over(self, one: Server, other: Server, clients: int) -> str:
        """How many times the CPU of the other the one takes: the middle of the rounds."""
        pairs = zip(self.costs[one.name, clients], self.costs[other.name, clients], strict=True)
        return f"{median(a.cpu / b.cpu for a, b in pairs):.2f}"

    def rounds(self) -> dict[str, object]:
        """Each round by itself, to see how far they lie apart."""
        return {
            "costs": [
                {"server": name, "clients": clients, **asdict(one)}
                for (name, clients), taken in self.costs.items()
                for one in taken
            ],
            "filtered": [asdict(one) for one in self.filtered],
        }


async def measure(at: Servers, given: argparse.Namespace, compared: Sequence[Server], crowd: int) -> Figures:
    """All figures, by turns."""
    found = Figures()
    number = 0

    def place() -> str:
        nonlocal number
        number += 1
        return f"live{number}"

    for turn in range(given.rounds):
        print(f"round {turn + 1} of {given.rounds}", file=sys.stderr)
        for clients in given.clients:
            for server in (RAW, EVENTSCOPE, *(compared if clients == crowd else ())):
                async with scene(at, place()) as here:
                    taken = await cost(server, here, clients, given.messages)
                found.costs.setdefault((server.name, clients), []).append(taken)
            for server in (EVENTSCOPE, *((RAW,) if clients == crowd else ())):
                async with scene(at, place()) as here:
                    late = await delays(server, here, clients, given.seconds)
                found.delays.setdefault((server.name, clients), []).extend(late)
        async with scene(at, place()) as here:
            found.filtered.append(await filtered(here, crowd, given.seconds))
    return found


def fill(sheet: Sheet, found: Figures, counts: Sequence[int], compared: Sequence[Server], crowd: int) -> None:
    """Write the figures down."""
    sheet.add(f"CPU a message, {crowd} clients of one cohort: Eventscope", found.cpu(EVENTSCOPE, crowd))
    sheet.add(f"the same: {RAW.name}", found.cpu(RAW, crowd), found.over(EVENTSCOPE, RAW, crowd), BARS[RAW.name])
    for peer in compared:
        sheet.add(
            f"the same: {peer.name}", found.cpu(peer, crowd), found.over(peer, EVENTSCOPE, crowd), BARS[peer.name]
        )
    one = [median(values) for values in zip(*((f.per_second, f.core, f.cpu) for f in found.filtered), strict=True)]
    sheet.add(
        f"{crowd} clients with a filter by another aggregate each, {MANY} events/s",
        f"{one[0]:,.0f} delivered/s, {one[1]:.0%} of a core, {one[2]:.0f} µs a message",
    )
    sheet.add(f"published → the last of {crowd} clients: Eventscope", found.delay(EVENTSCOPE, crowd))
    sheet.add(f"the same: {RAW.name}, told by Eventscope's ingester", found.delay(RAW, crowd))
    for clients in counts:
        sheet.add(f"CPU a message, {clients} clients: Eventscope", found.cpu(EVENTSCOPE, clients))
        sheet.add(f"the same: {RAW.name}", found.cpu(RAW, clients), found.over(EVENTSCOPE, RAW, clients))
    for clients in counts:
        sheet.add(f"memory of an idle subscriber, {clients} clients", found.memory(clients))
    for clients in counts:
        sheet.add(f"published → the last of {clients} clients", found.delay(EVENTSCOPE, clients))


def notes(given: argparse.Namespace, compared: Sequence[Server]) -> list[str]:
    """How to read it."""
    fewer = "".join(f", {peer.name} for {peer.share:.0%} of them" for peer in compared)
    return [
        f"Medians of {given.rounds} rounds, in which all servers have their turn. CPU is that of the server's process,"
        f" after a warm-up, for {given.messages:,} messages{fewer}.",
        "Ratios are of CPU a message: Eventscope's to that of the bare route, the peers' to Eventscope's. All send the"
        " same fields with the same values; what every client was sent last is compared with what it should be.",
        "The bare route sends one ready text to every socket. The peers' subscriptions are of `Event` itself, where"
        " Eventscope's are of a union with signals; all are fed by the same live batches from NATS, and have one event"
        " at a time on its way. The rate is therefore what server and clients together do, not the most they could.",
        "Delays are from the call that publishes, through JetStream, the ingester, MongoDB's commit and the live batch,"
        f" until the last of the clients has taken the event off its socket; {PACE} events/s for {given.seconds:g} s in"
        f" each round, all rounds together. Publisher and clients are one process, and share the {os.cpu_count()} cores"
        " of the machine with all the servers: what the clients need to take one event each is within the delay.",
        "An idle subscriber has caught up and waits. Its memory is what the resident memory of the server grew by from"
        " a tenth of the clients to all of them.",
    ]


def main() -> None:
    """Measure, print, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--clients", default="100,500,1000,2000", type=_numbers, help="with commas")
    parser.add_argument("--messages", type=int, default=200_000, help="to all clients together, for CPU")
    parser.add_argument("--seconds", type=float, default=6.0, help="for each delay, and for filters")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--results", type=Path, default=RESULTS / "live.md")
    given = parser.parse_args()
    compared = peers() if given.peers else []
    crowd = CROWD if CROWD in given.clients else max(given.clients)
    sheet = Sheet("Live delivery", " ".join(["python -m benchmarks.live", *sys.argv[1:]]), versions=versions())
    with (
        tempfile.TemporaryDirectory() as scratch,
        serving(Path(scratch), "pymongo") as at,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        found = runner.run(measure(at, given, compared, crowd))
    fill(sheet, found, given.clients, compared, crowd)
    sheet.notes += notes(given, compared)
    sheet.show()
    sheet.write(given.results)
    given.results.with_suffix(".json").write_bytes(orjson.dumps(found.rounds(), option=orjson.OPT_INDENT_2))


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
