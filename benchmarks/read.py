"""How questions are answered out of a long log, in one run on one machine, and what they cost.

    python -m benchmarks.read --events 1000000 --sizes 20,100,1000 --rounds 3 --data-dir FOLDER

pages      pages of events beside a bare route and other servers, on the same log
questions  statistics against counting, pages at any depth, an hour, an aggregate, a conversation; the cost of a page
shapes     how far MongoDB looks for every shape that a filter can have; it fails where that is too far

The log is filled once for all of them, and kept for the next run in the folder, if one is given. The server has a core
of its own; the client and MongoDB share the others.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import orjson
import uvloop
from pymongo import MongoClient

from benchmarks import read_cost, read_pages, read_questions, read_shapes, read_stats
from benchmarks.make_events import make
from benchmarks.read_samples import head
from benchmarks.served import CORE, DRIVERS, EVENTSCOPE, Server
from benchmarks.sheet import RESULTS, Sheet
from eventscope.dev.servers import Mongod, Nats, run_server

PARTS: Final = ("pages", "questions", "shapes")
LOG, SMALL_LOG = "read", "read_small"  # databases
SMALL: Final = 10_000
SEED: Final = 1
TIMES: Final = 100  # in each round


async def pages(mongo: str, nats: str, given: argparse.Namespace) -> None:
    """Compare the servers."""
    compared = [one for one in read_pages.servers(nats) if not given.only or one.name in given.only]
    figures = await read_pages.measure(compared, mongo, LOG, given.sizes, given.rounds, given.seconds)
    what = f"Pages out of {given.events:,} events, {datetime.now(UTC):%Y-%m-%d}, {given.rounds} rounds."
    text = f"{what}\n\n{read_pages.table(figures)}\n"
    print(text)
    given.results.mkdir(exist_ok=True)
    (given.results / "read.md").write_text(text)
    _keep(given, "read", figures)


async def questions(mongo: str, nats: str, given: argparse.Namespace) -> bool:
    """Ask Eventscope alone; False when MongoDB had to look at too much."""
    server = Server("eventscope", EVENTSCOPE, given.driver, {"EVENTSCOPE_NATS_URL": nats})
    sheet = _sheet(f"Questions about {given.events:,} events", "questions", mongo, given)
    with MongoClient[dict[str, Any]](mongo) as client:
        logs = [(client[SMALL_LOG], min(SMALL, given.events)), (client[LOG], given.events)]
        stats = await read_stats.countings(server, mongo, logs, given.rounds, TIMES)
        answered = await read_questions.asked(server, mongo, client[LOG], given.rounds, TIMES)
    costs = await read_cost.costs(server, mongo, LOG, given.events, given.sizes, given.rounds, given.seconds)
    read_stats.show(stats, sheet)
    read_questions.show(answered, sheet)
    read_cost.show(costs, sheet)
    _finish(given, "read_questions", sheet, {"stats": stats, "questions": answered, "costs": costs})
    return not read_questions.missed(answered)


def shapes(runner: asyncio.Runner, mongo: str, given: argparse.Namespace) -> bool:
    """Have every shape explained; False when MongoDB had to look at too much."""
    sheet = _sheet(f"Documents examined, of {given.events:,} events", "shapes", mongo, given)
    found = read_shapes.explained(runner, mongo, LOG)
    read_shapes.show(found, sheet)
    _finish(given, "read_shapes", sheet, found)
    return not any(page.faults for page in found)


def _sheet(title: str, part: str, mongo: str, given: argparse.Namespace) -> Sheet:
    # without the folder, which is somebody's own
    sheet = Sheet(title, f"python -m benchmarks.read --parts {part} --events {given.events} --rounds {given.rounds}")
    with MongoClient[dict[str, Any]](mongo) as client:
        sheet.versions |= {"MongoDB": client.server_info()["version"], given.driver: version(given.driver)}
    return sheet


def _finish(given: argparse.Namespace, name: str, sheet: Sheet, figures: object) -> None:
    sheet.show()
    sheet.write(given.results / f"{name}.md")
    _keep(given, name, figures)


def _keep(given: argparse.Namespace, name: str, figures: object) -> None:
    (given.results / f"{name}.json").write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2))


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _parts(text: str) -> list[str]:
    if wrong := set(_names(text)) - set(PARTS):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(wrong))}: there are {', '.join(PARTS)}")
    return _names(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--parts", default=",".join(PARTS), type=_parts, help=f"of {', '.join(PARTS)}; all if left out")
    parser.add_argument("--sizes", default="20,100,1000", type=lambda text: [int(part) for part in text.split(",")])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each rate")
    parser.add_argument("--only", default="", type=_names, help="names of servers whose pages are compared")
    parser.add_argument("--driver", choices=DRIVERS, default=DRIVERS[0], help="for questions")
    parser.add_argument("--data-dir", type=Path, help="where the log is kept for the next run")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder to write to")
    return parser.parse_args()


def main() -> None:
    """Start MongoDB and NATS, make the log, measure, print, and write the figures down."""
    given = _arguments()
    cores = set(range(os.cpu_count() or 1))
    others = cores - {CORE} or cores
    with tempfile.TemporaryDirectory() as scratch:
        os.sched_setaffinity(0, others)  # and so MongoDB's
        with (
            run_server(Mongod, (given.data_dir or Path(scratch)) / "mongod") as mongod,
            run_server(Nats, Path(scratch) / "nats") as nats,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            os.sched_setaffinity(0, cores)
            _fill(runner, mongod.url, given.events)
            os.sched_setaffinity(0, others)
            good = _measured(runner, mongod.url, nats.url, given)
    sys.exit(not good)


def _fill(runner: asyncio.Runner, mongo: str, events: int) -> None:
    for database, count in ((LOG, events), (SMALL_LOG, min(SMALL, events))):
        runner.run(make(mongo, database, count, SEED))
        with MongoClient[dict[str, Any]](mongo) as client:
            there = head(client[database]["events"])
        if there != count:
            raise SystemExit(f"the log in that folder has {there} events; ask for as many, or give another folder")


def _measured(runner: asyncio.Runner, mongo: str, nats: str, given: argparse.Namespace) -> bool:
    good = []
    if "pages" in given.parts:
        runner.run(pages(mongo, nats, given))
    if "questions" in given.parts:
        good.append(runner.run(questions(mongo, nats, given)))
    if "shapes" in given.parts:
        good.append(shapes(runner, mongo, given))
    return all(good)


if __name__ == "__main__":
    main()
