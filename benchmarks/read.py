"""Queries on a long log: how fast the server answers them, and what they cost.

    python -m benchmarks.read --events 1000000 --sizes 20,100,1000 --rounds 3 --data-dir FOLDER

pages      pages of events, compared with a bare route and other servers on the same log
questions  statistics compared with counting; pages at any depth, an hour, an aggregate; the cost of a page
shapes     how many documents MongoDB examines for every shape of a filter; fails if these are too many

The log is filled once for all parts, and kept for the next run if a folder is given. The server has a core of its own;
the client and MongoDB share the others.
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
from benchmarks.server_process import CORE, DRIVERS, EVENTSCOPE, ReadServer
from benchmarks.sheet import RESULTS, Sheet
from eventscope.dev.servers import Mongod, Nats, run_server

PARTS: Final = ("pages", "questions", "shapes")
LOG, SMALL_LOG = "read", "read_small"  # databases
SMALL: Final = 10_000
SEED: Final = 1
TIMES: Final = 100  # in each round


async def pages(mongo: str, nats: str, args: argparse.Namespace) -> None:
    """Compare how fast the servers answer pages."""
    compared = [one for one in read_pages.servers(nats) if not args.only or one.name in args.only]
    figures = await read_pages.measure(compared, mongo, LOG, args.sizes, args.rounds, args.seconds)
    title = f"Pages out of {args.events:,} events, {datetime.now(UTC):%Y-%m-%d}, {args.rounds} rounds."
    text = f"{title}\n\n{read_pages.table(figures)}\n"
    print(text)
    args.results.mkdir(exist_ok=True)
    (args.results / "read.md").write_text(text)
    _keep(args, "read", figures)


async def questions(mongo: str, nats: str, args: argparse.Namespace) -> bool:
    """Measure queries of Eventscope alone; False if MongoDB examined too many documents."""
    server = ReadServer("eventscope", EVENTSCOPE, args.driver, {"EVENTSCOPE_NATS_URL": nats})
    sheet = _sheet(f"Questions about {args.events:,} events", "questions", mongo, args)
    with MongoClient[dict[str, Any]](mongo) as client:
        logs = [(client[SMALL_LOG], min(SMALL, args.events)), (client[LOG], args.events)]
        stats = await read_stats.countings(server, mongo, logs, args.rounds, TIMES)
        answers = await read_questions.measure(server, mongo, client[LOG], args.rounds, TIMES)
    costs = await read_cost.costs(server, mongo, LOG, args.events, args.sizes, args.rounds, args.seconds)
    read_stats.show(stats, sheet)
    read_questions.show(answers, sheet)
    read_cost.show(costs, sheet)
    _finish(args, "read_questions", sheet, {"stats": stats, "questions": answers, "costs": costs})
    return not read_questions.missed(answers)


def shapes(runner: asyncio.Runner, mongo: str, args: argparse.Namespace) -> bool:
    """Let MongoDB explain every shape; False if it examined too many documents."""
    sheet = _sheet(f"Documents examined, of {args.events:,} events", "shapes", mongo, args)
    explained = read_shapes.explained(runner, mongo, LOG)
    read_shapes.show(explained, sheet)
    _finish(args, "read_shapes", sheet, explained)
    return not any(page.faults for page in explained)


def _sheet(title: str, part: str, mongo: str, args: argparse.Namespace) -> Sheet:
    # without --data-dir, which is private to this machine
    sheet = Sheet(title, f"python -m benchmarks.read --parts {part} --events {args.events} --rounds {args.rounds}")
    with MongoClient[dict[str, Any]](mongo) as client:
        sheet.versions |= {"MongoDB": client.server_info()["version"], args.driver: version(args.driver)}
    return sheet


def _finish(args: argparse.Namespace, name: str, sheet: Sheet, figures: object) -> None:
    sheet.show()
    sheet.write(args.results / f"{name}.md")
    _keep(args, name, figures)


def _keep(args: argparse.Namespace, name: str, figures: object) -> None:
    (args.results / f"{name}.json").write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2))


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _parts(text: str) -> list[str]:
    if unknown := set(_names(text)) - set(PARTS):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}; the parts are {', '.join(PARTS)}")
    return _names(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument(
        "--parts", default=",".join(PARTS), type=_parts, help=f"some of {', '.join(PARTS)}; all by default"
    )
    parser.add_argument("--sizes", default="20,100,1000", type=lambda text: [int(part) for part in text.split(",")])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each rate")
    parser.add_argument("--only", default="", type=_names, help="names of the servers to compare in pages")
    parser.add_argument("--driver", choices=DRIVERS, default=DRIVERS[0], help="the driver for questions")
    parser.add_argument("--data-dir", type=Path, help="the folder to keep the log in for the next run")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder to write to")
    return parser.parse_args()


def main() -> None:
    """Start MongoDB and NATS, fill the log, measure, print the figures and write them to files."""
    args = _arguments()
    cores = set(range(os.cpu_count() or 1))
    others = cores - {CORE} or cores
    with tempfile.TemporaryDirectory() as scratch:
        os.sched_setaffinity(0, others)  # MongoDB inherits it
        with (
            run_server(Mongod, (args.data_dir or Path(scratch)) / "mongod") as mongod,
            run_server(Nats, Path(scratch) / "nats") as nats,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            os.sched_setaffinity(0, cores)
            _fill(runner, mongod.url, args.events)
            os.sched_setaffinity(0, others)
            passed = _measure(runner, mongod.url, nats.url, args)
    sys.exit(not passed)


def _fill(runner: asyncio.Runner, mongo: str, events: int) -> None:
    for database, count in ((LOG, events), (SMALL_LOG, min(SMALL, events))):
        runner.run(make(mongo, database, count, SEED))
        with MongoClient[dict[str, Any]](mongo) as client:
            count_in_log = head(client[database]["events"])
        if count_in_log != count:
            raise SystemExit(
                f"the log in that folder has {count_in_log} events: pass that --events, or another --data-dir"
            )


def _measure(runner: asyncio.Runner, mongo: str, nats: str, args: argparse.Namespace) -> bool:
    passed = []
    if "pages" in args.parts:
        runner.run(pages(mongo, nats, args))
    if "questions" in args.parts:
        passed.append(runner.run(questions(mongo, nats, args)))
    if "shapes" in args.parts:
        passed.append(shapes(runner, mongo, args))
    return all(passed)


if __name__ == "__main__":
    main()
