"""`eventscope recount`: holds everything derived against the events, for people, and puts right what differs."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from eventscope.connections import connect_mongo
from eventscope.settings import Settings
from eventscope.store.recount.whole import RecountReport, recount
from eventscope.store.recount.wrong import Kind, Wrong
from eventscope.terminal import safe

MOST_LINES: Final = 20
NAMES: Final[dict[Kind, str]] = {
    "head": "heads of aggregates",
    "population": "counts of aggregates",
    "hour": "counts by hour",
    "day": "counts by day of expiry",
    "minute": "spans by minute",
    "expiration": "notes of expired events",
    "foreign": "foreign documents",
}
STAGES: Final[dict[Kind, str]] = {"head": "aggregates", "hour": "events"}


async def run(settings: Settings, *, mend: bool, accept_loss: bool = False, console: Console) -> int:
    """Recount, and tell what was wrong; the exit code, 1 where something still is.

    Raises CannotStart when MongoDB is not set or not there, and Blocked when events were lost: to `accept_loss` is not
    for us to decide.
    """
    async with connect_mongo(settings) as log:
        with _progress(console) as progress:
            tasks: dict[Kind, TaskID] = {}

            def tell(kind: Kind, done: int, total: int) -> None:
                if kind not in tasks:
                    tasks[kind] = progress.add_task(f"counting {STAGES.get(kind, NAMES[kind])}")
                progress.update(tasks[kind], completed=done, total=total)

            report = await recount(log, tell, mend=mend, accept_loss=accept_loss)
    _tell(report, console, mend=mend)
    return 1 if report.left or report.beyond else 0


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f}"), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _tell(report: RecountReport, console: Console, *, mend: bool) -> None:
    if report.beyond:
        _show(report.beyond, console)
        console.print(f"No recount can put right: {len(report.beyond):,}, named above with what to do.")
    if not report.wrong:
        rest = "Everything else that is" if report.beyond else "Everything"
        console.print(f"{rest} derived is what the events give.")
        return
    _show(report.wrong, console)
    if fewer := sum(_fewer(one) for one in report.wrong if one.kind == "hour"):
        console.print(
            f"{fewer:,} events that were counted, and have not expired, are not there. Unless a count was wrong, they"
            " were deleted by somebody: only a backup or their publishers have them."
        )
    kinds = Counter(one.kind for one in report.wrong)
    found = ", ".join(f"{n:,} {NAMES[kind]}" for kind, n in kinds.items())
    if not mend:
        console.print(f"Wrong: {found}. Nothing was changed; run `eventscope recount` to put it right.")
    elif report.left:
        _show(report.left, console)
        console.print(f"Wrong: {found}. Of these and newer ones {len(report.left):,} are wrong still; run it again.")
    else:
        console.print(f"Put right: {found}.")


def _fewer(one: Wrong) -> int:
    found, counted = ((document or {}).get("n", 0) for document in (one.found, one.counted))
    return max(0, found - counted) if isinstance(found, int) else 0


def _show(wrong: Sequence[Wrong], console: Console) -> None:
    for one in wrong[:MOST_LINES]:
        console.print(escape(safe(str(one))), highlight=False, soft_wrap=True)
    if len(wrong) > MOST_LINES:
        console.print(f"… and {len(wrong) - MOST_LINES:,} more")
