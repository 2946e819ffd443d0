"""Faults under load, and a table of what came of them: `python -m tests.chaos --faults 100 --seed 1`."""

import asyncio
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tests.chaos.faults import FAULTS
from tests.chaos.network import LONG
from tests.chaos.run import RATE, SUBSCRIBERS, Run, Struck, run

MOST_FINDINGS = 30


def main(
    faults: Annotated[int, typer.Option(min=1)] = 100,
    seed: Annotated[int, typer.Option(help="The same faults again.")] = 1,
    rate: Annotated[float, typer.Option(min=1, help="Messages a second.")] = RATE,
    subscribers: Annotated[int, typer.Option(min=1, help="Clients that follow the log live.")] = SUBSCRIBERS,
    folder: Annotated[Path | None, typer.Option(help="Where data and logs are kept; else they are removed.")] = None,
) -> None:
    """Strike at everything while services publish; the exit code is 1 when anything is lost, twice or out of order."""
    console = Console()
    # that connections break is the point here; the servers and the ingesters write logs of their own
    logging.getLogger("eventscope").setLevel(logging.CRITICAL)

    def told(one: Struck) -> None:
        console.print(f"{one.number:4}  {one.name}: {one.detail}; the log grew again after {one.seconds:.1f} s")

    with tempfile.TemporaryDirectory(prefix="chaos-") as spare:
        place = folder or Path(spare)
        place.mkdir(parents=True, exist_ok=True)
        kinds = {**FAULTS, **LONG}
        done = asyncio.run(run(place, seed, faults, kinds=kinds, rate=rate, subscribers=subscribers, told=told))
    console.print(table(done.struck))
    _conclude(console, done)
    raise typer.Exit(0 if done.report.right and done.live.right else 1)


def table(struck: Sequence[Struck]) -> Table:
    """The faults by kind."""
    found = Table("fault", title=f"{len(struck)} faults")
    for name in ("times", "until the log grew again: median", "longest"):
        found.add_column(name, justify="right")
    for kind in dict.fromkeys(one.name for one in struck):
        seconds = [one.seconds for one in struck if one.name == kind]
        found.add_row(kind, str(len(seconds)), f"{median(seconds):.1f} s", f"{max(seconds):.1f} s")
    return found


def _conclude(console: Console, done: Run) -> None:
    report = done.report
    console.print(
        f"{report.messages} messages, {report.acknowledged} acknowledgements, {report.events} events and"
        f" {report.rejected} rejections in {done.seconds:.0f} s; the stream was another one {done.resets} times, the"
        f" lease changed hands {done.terms} times; NATS itself lost {report.lost_by_nats} messages that nobody had read"
    )
    live = done.live
    signals = ", ".join(f"{name} {times}" for name, times in sorted(live.signals.items()))
    console.print(
        f"{live.subscribers} subscribers were given {live.events} events over {done.connections} connections, and"
        f" stopped reading {done.stalls} times; they were told {signals}"
    )
    for name, found in (("stored", report), ("live", live)):
        for finding in found.findings[:MOST_FINDINGS]:
            console.print(f"  {finding}", markup=False)
        console.print(f"{name}: {found}", style="bold green" if found.right else "bold red", highlight=False)


if __name__ == "__main__":
    typer.run(main)
