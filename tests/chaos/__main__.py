"""Faults under load, and a table of the recoveries: `python -m tests.chaos --faults 100 --seed 1`."""

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
from tests.chaos.network import LONG_OUTAGES
from tests.chaos.run import RATE, SUBSCRIBERS, Run, Strike, run

MOST_FINDINGS = 30


def main(
    faults: Annotated[int, typer.Option(min=1)] = 100,
    seed: Annotated[int, typer.Option(help="The same seed gives the same faults.")] = 1,
    rate: Annotated[float, typer.Option(min=1, help="Messages a second.")] = RATE,
    subscribers: Annotated[int, typer.Option(min=1, help="Clients that follow the log live.")] = SUBSCRIBERS,
    folder: Annotated[Path | None, typer.Option(help="Where data and logs are kept; removed by default.")] = None,
) -> None:
    """Strike at everything while services publish; the exit code is 1 if anything is lost, repeated or out of order."""
    console = Console()
    # broken connections are expected here; the servers and the ingesters write logs of their own
    logging.getLogger("eventscope").setLevel(logging.CRITICAL)

    def on_strike(one: Strike) -> None:
        console.print(f"{one.number:4}  {one.name}: {one.detail}; the log grew again after {one.seconds:.1f} s")

    with tempfile.TemporaryDirectory(prefix="chaos-") as spare:
        place = folder or Path(spare)
        place.mkdir(parents=True, exist_ok=True)
        kinds = {**FAULTS, **LONG_OUTAGES}
        done = asyncio.run(
            run(place, seed, faults, kinds=kinds, rate=rate, subscribers=subscribers, on_strike=on_strike)
        )
    console.print(table(done.strikes))
    _conclude(console, done)
    raise typer.Exit(0 if done.report.passed and done.live.passed else 1)


def table(strikes: Sequence[Strike]) -> Table:
    """The faults by kind, with their recovery times."""
    found = Table("fault", title=f"{len(strikes)} faults")
    for name in ("times", "until the log grew again: median", "longest"):
        found.add_column(name, justify="right")
    for kind in dict.fromkeys(one.name for one in strikes):
        seconds = [one.seconds for one in strikes if one.name == kind]
        found.add_row(kind, str(len(seconds)), f"{median(seconds):.1f} s", f"{max(seconds):.1f} s")
    return found


def _conclude(console: Console, done: Run) -> None:
    report = done.report
    console.print(
        f"{report.messages} messages, {report.acknowledged} acknowledgements, {report.events} events and"
        f" {report.rejected} rejections in {done.seconds:.0f} s; the stream was replaced {done.resets} times, the"
        f" lease changed hands {done.terms} times; NATS itself lost {report.lost_by_nats} messages that nobody had read"
    )
    live = done.live
    signals = ", ".join(f"{name} {times}" for name, times in sorted(live.signals.items()))
    console.print(
        f"{live.subscribers} subscribers received {live.events} events over {done.connections} connections, and"
        f" stopped reading {done.stalls} times; they received the signals {signals}"
    )
    for name, found in (("stored", report), ("live", live)):
        for finding in found.findings[:MOST_FINDINGS]:
            console.print(f"  {finding}", markup=False)
        console.print(f"{name}: {found}", style="bold green" if found.passed else "bold red", highlight=False)


if __name__ == "__main__":
    typer.run(main)
