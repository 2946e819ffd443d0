"""Runs `eventscope recount`: compares all derived data with the events, and prints and repairs what differs."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from eventscope.connections import connect_mongo
from eventscope.settings import Settings
from eventscope.store.recount.difference import Difference, Kind
from eventscope.store.recount.whole import RecountReport, recount
from eventscope.terminal import safe

MOST_LINES: Final = 20
NAMES: Final[dict[Kind, str]] = {
    "head": "aggregates",
    "population": "counts of aggregates",
    "hour": "counts by hour",
    "day": "counts by day of expiry",
    "minute": "spans by minute",
    "expiration": "records of expired events",
    "foreign": "foreign documents",
}
STAGES: Final[dict[Kind, str]] = {"head": "aggregates", "hour": "events"}


async def run(settings: Settings, *, repair: bool, accept_loss: bool = False, console: Console) -> int:
    """Recount, print what differs, and return the exit code: 1 if something still does.

    Raises CannotStart when MongoDB is not set or cannot be reached, and Blocked when events were lost and `accept_loss`
    is off: that decision is the operator's.
    """
    async with connect_mongo(settings) as log:
        with _progress(console) as progress:
            tasks: dict[Kind, TaskID] = {}

            def report_progress(kind: Kind, done: int, total: int) -> None:
                if kind not in tasks:
                    tasks[kind] = progress.add_task(f"counting {STAGES.get(kind, NAMES[kind])}")
                progress.update(tasks[kind], completed=done, total=total)

            report = await recount(log, report_progress, repair=repair, accept_loss=accept_loss)
    _print(report, console, repair=repair)
    return 1 if report.left or report.beyond else 0


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f}"), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _print(report: RecountReport, console: Console, *, repair: bool) -> None:
    if report.beyond:
        _show(report.beyond, console)
        console.print(f"A recount cannot repair {len(report.beyond):,} of these; see above for what to do.")
    if not report.wrong:
        derived = "All other derived data" if report.beyond else "All derived data"
        console.print(f"{derived} agrees with the events.")
        return
    _show(report.wrong, console)
    if fewer := sum(_fewer(one) for one in report.wrong if one.kind == "hour"):
        console.print(
            f"{fewer:,} events that were counted and have not expired are missing. Unless a count was wrong, somebody"
            " deleted them; only a backup or their publishers still have them."
        )
    kinds = Counter(one.kind for one in report.wrong)
    differences = ", ".join(f"{n:,} {NAMES[kind]}" for kind, n in kinds.items())
    if not repair:
        console.print(f"Wrong: {differences}. Nothing was changed; run `eventscope recount` to repair it.")
    elif report.left:
        _show(report.left, console)
        console.print(f"Wrong: {differences}. {len(report.left):,} of these or newer ones still are; run it again.")
    else:
        console.print(f"Repaired: {differences}.")


def _fewer(one: Difference) -> int:
    stored, counted = ((document or {}).get("n", 0) for document in (one.found, one.counted))
    return max(0, stored - counted) if isinstance(stored, int) else 0


def _show(wrong: Sequence[Difference], console: Console) -> None:
    for one in wrong[:MOST_LINES]:
        console.print(escape(safe(str(one))), highlight=False, soft_wrap=True)
    if len(wrong) > MOST_LINES:
        console.print(f"… and {len(wrong) - MOST_LINES:,} more")
