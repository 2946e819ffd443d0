"""Live delivery: its cost, its delay, and how both grow; compared with a bare route and with peers.

    python -m benchmarks.live
    python -m benchmarks.live --clients 50 --messages 2000 --seconds 5 --rounds 1      (half a minute)

All servers take turns in one run, with the same events and clients. CPU is that of the server's process, so the ratios
hold even if others use the machine. A figure counts only if each client received what it should.
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

from benchmarks.live_cohort import MessageCost, cost
from benchmarks.live_paced import MANY, PACE, Filtered, delays, filtered
from benchmarks.live_servers import EVENTSCOPE, RAW, LiveServer, peers, versions
from benchmarks.sheet import RESULTS, Sheet
from benchmarks.stage import Servers, scene, serving

CROWD: Final = 1000  # clients, in the comparison of servers
BARS: Final = {"raw Starlette send_text": "≤ 1.5", "stock Strawberry": "≥ 10", "Mercurius": "≥ 2"}


@dataclass(slots=True)
class Figures:
    """All figures; each list has one entry per round, or the delays of all rounds."""

    costs: dict[tuple[str, int], list[MessageCost]] = field(default_factory=dict)
    delays: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    filtered: list[Filtered] = field(default_factory=list)

    def cpu(self, server: LiveServer, clients: int) -> str:
        """The medians of the CPU time per message and of the rate."""
        costs = self.costs[server.name, clients]
        rate = median(one.per_second for one in costs)
        return f"{median(one.cpu for one in costs):.1f} µs, {rate:,.0f}/s"

    def memory(self, clients: int) -> str:
        """The memory of an idle client."""
        return f"{median(one.memory for one in self.costs[EVENTSCOPE.name, clients]):.0f} KiB"

    def delay(self, server: LiveServer, clients: int) -> str:
        """The median and the 99th percentile of all delays."""
        cuts = quantiles(self.delays[server.name, clients], n=100)
        return f"p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms"

    def over(self, one: LiveServer, other: LiveServer, clients: int) -> str:
        """The ratio of the CPU time of `one` to that of `other`: the median of the rounds."""
        pairs = zip(self.costs[one.name, clients], self.costs[other.name, clients], strict=True)
        return f"{median(a.cpu / b.cpu for a, b in pairs):.2f}"

    def rounds(self) -> dict[str, object]:
        """The figures of each round by itself, to show how much they vary."""
        return {
            "costs": [
                {"server": name, "clients": clients, **asdict(one)}
                for (name, clients), costs in self.costs.items()
                for one in costs
            ],
            "filtered": [asdict(one) for one in self.filtered],
        }


async def measure(at: Servers, args: argparse.Namespace, compared: Sequence[LiveServer], crowd: int) -> Figures:
    """Measure all servers in turn, in each round."""
    figures = Figures()
    number = 0

    def name() -> str:
        nonlocal number
        number += 1
        return f"live{number}"

    for turn in range(args.rounds):
        print(f"round {turn + 1} of {args.rounds}", file=sys.stderr)
        for clients in args.clients:
            for server in (RAW, EVENTSCOPE, *(compared if clients == crowd else ())):
                async with scene(at, name()) as here:
                    message_cost = await cost(server, here, clients, args.messages)
                figures.costs.setdefault((server.name, clients), []).append(message_cost)
            for server in (EVENTSCOPE, *((RAW,) if clients == crowd else ())):
                async with scene(at, name()) as here:
                    late = await delays(server, here, clients, args.seconds)
                figures.delays.setdefault((server.name, clients), []).extend(late)
        async with scene(at, name()) as here:
            figures.filtered.append(await filtered(here, crowd, args.seconds))
    return figures


def fill(sheet: Sheet, figures: Figures, counts: Sequence[int], compared: Sequence[LiveServer], crowd: int) -> None:
    """Add the figures to the sheet."""
    sheet.add(f"CPU per message, {crowd} clients of one cohort: Eventscope", figures.cpu(EVENTSCOPE, crowd))
    sheet.add(f"the same: {RAW.name}", figures.cpu(RAW, crowd), figures.over(EVENTSCOPE, RAW, crowd), BARS[RAW.name])
    for peer in compared:
        sheet.add(
            f"the same: {peer.name}", figures.cpu(peer, crowd), figures.over(peer, EVENTSCOPE, crowd), BARS[peer.name]
        )
    one = [median(values) for values in zip(*((f.per_second, f.core, f.cpu) for f in figures.filtered), strict=True)]
    sheet.add(
        f"{crowd} clients, each with a filter by its own aggregate, {MANY} events/s",
        f"{one[0]:,.0f} delivered/s, {one[1]:.0%} of a core, {one[2]:.0f} µs per message",
    )
    sheet.add(f"published → the last of {crowd} clients: Eventscope", figures.delay(EVENTSCOPE, crowd))
    sheet.add(f"the same: {RAW.name}, fed by Eventscope's ingester", figures.delay(RAW, crowd))
    for clients in counts:
        sheet.add(f"CPU per message, {clients} clients: Eventscope", figures.cpu(EVENTSCOPE, clients))
        sheet.add(f"the same: {RAW.name}", figures.cpu(RAW, clients), figures.over(EVENTSCOPE, RAW, clients))
    for clients in counts:
        sheet.add(f"memory of an idle subscriber, {clients} clients", figures.memory(clients))
    for clients in counts:
        sheet.add(f"published → the last of {clients} clients", figures.delay(EVENTSCOPE, clients))


def notes(args: argparse.Namespace, compared: Sequence[LiveServer]) -> list[str]:
    """Notes on how to interpret the figures."""
    fewer = "".join(f", {peer.name} for {peer.share:.0%} of them" for peer in compared)
    return [
        f"Medians of {args.rounds} rounds, in which all servers take turns. CPU is that of the server's process,"
        f" after a warm-up, for {args.messages:,} messages{fewer}.",
        "Ratios are of CPU per message: Eventscope's to that of the bare route, the peers' to Eventscope's. All send"
        " the same fields with the same values; the last message of every client is compared with the expected one.",
        "The bare route sends one prepared text to every socket. The peers' subscriptions have the type `Event`, those"
        " of Eventscope a union with signals; all get the same live batches from NATS, one event at a time. The rate is"
        " therefore what server and clients achieve together, not the server's maximum.",
        "Delays run from the call that publishes, through JetStream, the ingester, MongoDB's commit and the live batch,"
        f" until the last client has read the event from its socket; {PACE} events/s for {args.seconds:g} s in"
        f" each round, all rounds together. Publisher and clients are one process, and share the {os.cpu_count()} cores"
        " of the machine with all the servers: the delay includes the time in which all clients read the event.",
        "An idle subscriber has caught up and waits. Its memory is the growth of the server's resident memory from a"
        " tenth of the clients to all of them, per client.",
    ]


def main() -> None:
    """Measure, print the sheet and write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--clients", default="100,500,1000,2000", type=_numbers, help="numbers of clients, separated by commas"
    )
    parser.add_argument(
        "--messages", type=int, default=200_000, help="to all clients together, for the CPU per message"
    )
    parser.add_argument("--seconds", type=float, default=6.0, help="for each delay, and for filters")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--results", type=Path, default=RESULTS / "live.md")
    args = parser.parse_args()
    compared = peers() if args.peers else []
    crowd = CROWD if CROWD in args.clients else max(args.clients)
    sheet = Sheet("Live delivery", " ".join(["python -m benchmarks.live", *sys.argv[1:]]), versions=versions())
    with (
        tempfile.TemporaryDirectory() as scratch,
        serving(Path(scratch), "pymongo") as at,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        figures = runner.run(measure(at, args, compared, crowd))
    fill(sheet, figures, args.clients, compared, crowd)
    sheet.notes += notes(args, compared)
    sheet.show()
    sheet.write(args.results)
    args.results.with_suffix(".json").write_bytes(orjson.dumps(figures.rounds(), option=orjson.OPT_INDENT_2))


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
