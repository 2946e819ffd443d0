"""Eventscope looks into event-sourced systems."""

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from eventscope.cli import events, rejected
from eventscope.cli.command import chosen_settings, run, to_its_end, until_asked_to_end
from eventscope.cli.envelope import commands
from eventscope.dev.data_folder import DATA_DIR, DATA_DIR_HELP, found, running
from eventscope.errors import CannotStart, EventscopeError
from eventscope.redact import redacted_text
from eventscope.settings import Settings, variable
from eventscope.terminal import prepare, say

# Each command imports what it runs when it runs: none should wait at its start for what the others need.

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(commands.app, name="envelope")
app.add_typer(rejected.app, name="rejected")
app.command()(events.tail)
app.command()(events.export)

DataDir = Annotated[Path, typer.Option(help=DATA_DIR_HELP)]
Seed = Annotated[int | None, typer.Option(help="Lets the same business happen again.")]
Rate = Annotated[float, typer.Option(min=0.01, max=10_000, help="Sample events per second.")]
RATE = 5.0


@app.command()
def dev(
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Of the API; 0 takes any free one.")] = None,
    data_dir: Annotated[Path, typer.Option(help="Folder for data and logs.")] = DATA_DIR,
    sample: Annotated[bool, typer.Option("--sample", help="Let the events of a small business happen.")] = False,
    seed: Seed = None,
    rate: Rate = RATE,
) -> None:
    """Run everything on this machine: MongoDB and NATS embedded, the ingester and the API."""
    from rich.console import Console

    from eventscope.dev import run as development

    chosen = chosen_settings()
    code = run(
        development.run(
            chosen,
            port=chosen.port if port is None else port,
            data_dir=data_dir,
            sample=sample,
            seed=seed,
            rate=rate,
            console=Console(),
        )
    )
    raise typer.Exit(code)


@app.command()
def serve(
    ingest: Annotated[bool, typer.Option(help="Run an ingester beside the API.")] = True,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes that share the port: one for a core.")] = 1,
    worker: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Serve the API, with an ingester, against the servers that the settings name."""
    from eventscope.server import api
    from eventscope.server import workers as several

    if worker is not None:
        run(api.work(chosen_settings(), several.WorkerSlot.parse(worker)))
    elif workers > 1:
        run(several.keep(chosen_settings(), workers, ingest=ingest))
    else:
        run(api.serve(chosen_settings(), ingest=ingest))


@app.command()
def ingest() -> None:
    """Run an ingester alone. Several stand by for each other."""
    from eventscope.server import garbage, ingester

    garbage.settle()
    until_asked_to_end(ingester.ingest(chosen_settings()))


@app.command("import")
def import_(
    source: Annotated[str, typer.Argument(help="git:PATH, FILE.jsonl or FILE.csv")],
    shallow: Annotated[
        bool, typer.Option("--shallow", help="Take a shallow clone, without the commits whose parents it lacks.")
    ] = False,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Publish the events in a file, or the history of a git repository."""
    from rich.console import Console

    from eventscope.connections import access
    from eventscope.importers import run as importing

    chosen = _with_nats(chosen_settings(), data_dir)
    report = to_its_end(
        importing.run(
            source,
            nats_url=chosen.nats_url,
            access=access(chosen),
            stream=chosen.stream,
            subjects=chosen.subjects,
            console=Console(),
            shallow=shallow,
        )
    )
    say(report.told, sys.stderr)
    raise typer.Exit(1 if report.failed else 0)


@app.command("sample")
def sample_(
    rate: Rate = RATE,
    seed: Seed = None,
    history: Annotated[int, typer.Option(min=0, help="So many events have happened before.")] = 0,
    server: Annotated[
        str | None, typer.Option(metavar="URL", help="NATS to publish to, where no `eventscope dev` is to have them.")
    ] = None,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Publish the events of a small business, for ever: to the `eventscope dev` that runs here, unless told where."""
    from eventscope.connections import access
    from eventscope.sample import play as sample
    from eventscope.subscriptions.publish.publisher import Publisher

    chosen = chosen_settings()
    chosen = chosen.model_copy(update={"nats_url": server}) if server else _own_nats(chosen, data_dir)

    async def play() -> None:
        async with Publisher.connect(
            chosen.nats_url, chosen.stream, chosen.subjects, access=access(chosen)
        ) as publisher:
            await sample.play(publisher, rate=rate, seed=seed, history=history)

    until_asked_to_end(play())


@app.command("doctor")
def doctor_(
    outage: Annotated[float, typer.Option(min=0, metavar="HOURS", help="The longest outage that you plan for.")] = 24.0,
    nats_monitor: Annotated[
        str | None, typer.Option(metavar="URL", help="Where NATS is monitored: http://HOST:8222.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    acknowledge: Annotated[
        bool, typer.Option("--acknowledge", help="What was lost by now is known: warn of it no more.")
    ] = False,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Look at both servers and the log: exit code 0 when all is well, 1 with warnings, 2 when something is broken."""
    from eventscope.doctor import examine
    from eventscope.doctor.finding import exit_code

    here = running(data_dir)
    chosen = found(chosen_settings(), data_dir)
    plan = examine.Plan(outage, nats_monitor, examine.embedded(chosen, here))
    findings = to_its_end(examine.examine(chosen, plan, acknowledge=acknowledge))
    examine.tell(findings, as_json=as_json)
    raise typer.Exit(exit_code(findings))


@app.command("recount")
def recount_(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what is wrong; exit code 1 if anything.")
    ] = False,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Count what is left after events or aggregates were lost.")
    ] = False,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Count anew what statistics and aggregates are read from, and put right what differs, while events come in."""
    from rich.console import Console

    from eventscope.cli import recount

    chosen = found(chosen_settings(), data_dir)
    raise typer.Exit(run(recount.run(chosen, mend=not dry_run, accept_loss=accept_loss, console=Console())))


def main() -> None:
    """Run the command that was asked for; 2 is the exit code when it cannot start or go on."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # until a command sees to signals itself, Ctrl-C ends it at once and without a traceback, as SIGTERM does
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    prepare()
    try:
        app()
    except EventscopeError as error:
        say(f"eventscope: {redacted_text(str(error))}", sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _with_nats(chosen: Settings, data_dir: Path) -> Settings:
    chosen = found(chosen, data_dir)
    if not chosen.nats_url:
        raise CannotStart(
            f"no `eventscope dev` runs on {data_dir}: start one, or give a server with {variable('nats_url')}"
        )
    return chosen


def _own_nats(chosen: Settings, data_dir: Path) -> Settings:
    """With NATS of what runs here, if all that stores its events is embedded."""
    if chosen.nats_url:
        raise CannotStart(
            f"the sample business happens on embedded servers alone, but {variable('nats_url')} names another:"
            " unset it, or let it happen there with --server"
        )
    chosen = _with_nats(chosen, data_dir)
    here = running(data_dir)
    if here is None or not {"mongod", "nats"} <= here.pids.keys():
        raise CannotStart(
            f"what runs on {data_dir} has servers that are not embedded: let the sample business happen there"
            " with --server"
        )
    return chosen
