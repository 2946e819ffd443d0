"""The command line: all commands of `eventscope`, and how errors become exit codes."""

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from eventscope.cli import events, rejected
from eventscope.cli.command import load_settings, run, run_to_end, run_until_signal
from eventscope.cli.envelope import commands
from eventscope.cli.help import Command, Group
from eventscope.dev.data_folder import DATA_DIR, DATA_DIR_HELP, running_dev, with_running_servers
from eventscope.errors import CannotStart, EventscopeError
from eventscope.redact import redacted_text
from eventscope.settings import Settings, variable
from eventscope.terminal import prepare, say

# Each command imports what it runs when it runs, so that none starts slowly because of the others.

HELP = "Look into an event-sourced system: query its log of events, and follow new ones."

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help=HELP,
)
app.add_typer(commands.app, name="envelope")
app.add_typer(rejected.app, name="rejected")
app.command(cls=Command)(events.tail)
app.command(cls=Command)(events.export)

DataDir = Annotated[Path, typer.Option(metavar="FOLDER", help=DATA_DIR_HELP)]
Port = Annotated[
    int | None, typer.Option(min=0, max=65535, metavar="PORT", help="Port of the API; 0 picks a free one.")
]
Seed = Annotated[int | None, typer.Option(metavar="NUMBER", help="Seed of the random sample events.")]
Rate = Annotated[float, typer.Option(min=0.01, max=10_000, metavar="NUMBER", help="Sample events per second.")]
RATE = 5.0


def _show_version(is_given: bool) -> None:
    if is_given:
        from importlib.metadata import version

        say(f"eventscope {version('eventscope')}")
        raise typer.Exit


@app.callback(help=HELP)
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """The options that need no command."""


@app.command(cls=Command)
def dev(
    port: Port = None,
    data_dir: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for data and logs.")] = DATA_DIR,
    sample: Annotated[bool, typer.Option("--sample", help="Publish events of a small sample business.")] = False,
    seed: Seed = None,
    rate: Rate = RATE,
) -> None:
    """Run everything on this machine: embedded MongoDB and NATS, the ingester and the API."""
    from rich.console import Console

    from eventscope.dev.run import run_dev

    settings = load_settings()
    code = run(
        run_dev(
            settings,
            port=settings.port if port is None else port,
            data_dir=data_dir,
            sample=sample,
            seed=seed,
            rate=rate,
            console=Console(),
        )
    )
    raise typer.Exit(code)


@app.command(cls=Command)
def serve(
    port: Port = None,
    ingest: Annotated[bool, typer.Option(help="Whether to run an ingester beside the API.")] = True,
    workers: Annotated[
        int,
        typer.Option(min=1, max=256, metavar="NUMBER", help="Number of API processes that share the port."),
    ] = 1,
    worker: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Serve the API, and run an ingester, with the MongoDB and NATS that the settings name."""
    from eventscope.server import api
    from eventscope.server.workers import WorkerSlot, keep

    settings = load_settings()
    if port is not None:
        settings = settings.model_copy(update={"port": port})
    if worker is not None:
        run(api.work(settings, WorkerSlot.parse(worker)))
    elif workers > 1:
        run(keep(settings, workers, ingest=ingest))
    else:
        run(api.serve(settings, ingest=ingest))


@app.command(cls=Command)
def ingest() -> None:
    """Run an ingester without the API. Of several ingesters, one works and the others stand by."""
    from eventscope.server import garbage, ingester

    garbage.settle()
    run_until_signal(ingester.ingest(load_settings()))


@app.command("import", cls=Command)
def import_(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="git:PATH, FILE.jsonl or FILE.csv.")],
    shallow: Annotated[
        bool, typer.Option("--shallow", help="Accept a shallow clone; omit commits whose parents it lacks.")
    ] = False,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Publish the events of a file, or the history of a git repository, to the NATS that the settings name.

    If they name none, it is that of a running `eventscope dev`.
    """
    from rich.console import Console

    from eventscope.connections import access
    from eventscope.importers.run import import_events

    settings = _with_nats(load_settings(), data_dir)
    report = run_to_end(
        import_events(
            source,
            nats_url=settings.nats_url,
            access=access(settings),
            stream=settings.stream,
            subjects=settings.subjects,
            console=Console(),
            shallow=shallow,
        )
    )
    say(report.summary, sys.stderr)
    raise typer.Exit(1 if report.bad_lines else 0)


@app.command("sample", cls=Command)
def sample_(
    rate: Rate = RATE,
    seed: Seed = None,
    history: Annotated[int, typer.Option(min=0, metavar="NUMBER", help="Number of past events to publish first.")] = 0,
    server: Annotated[
        str | None, typer.Option(metavar="URL", help="NATS server to publish to, instead of that of `eventscope dev`.")
    ] = None,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Publish events of a small sample business until stopped, to `eventscope dev` or to --server."""
    from eventscope.connections import access
    from eventscope.sample.play import play
    from eventscope.subscriptions.publish.publisher import Publisher

    loaded = load_settings()
    settings = loaded.model_copy(update={"nats_url": server}) if server else _with_embedded_nats(loaded, data_dir)

    async def publish() -> None:
        async with Publisher.connect(
            settings.nats_url, settings.stream, settings.subjects, access=access(settings)
        ) as publisher:
            await play(publisher, rate=rate, seed=seed, history=history)

    run_until_signal(publish())


@app.command("doctor", cls=Command)
def doctor_(
    outage: Annotated[float, typer.Option(min=0, metavar="HOURS", help="Longest outage to be prepared for.")] = 24.0,
    nats_monitor: Annotated[
        str | None, typer.Option(metavar="URL", help="Address of the monitoring port of NATS, like http://HOST:8222.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    acknowledge: Annotated[
        bool, typer.Option("--acknowledge", help="Stop warning of the losses that have happened so far.")
    ] = False,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Check MongoDB, NATS and the log. Exit code: 0 if all is well, 1 after warnings, 2 if something is broken."""
    from eventscope.doctor import examine
    from eventscope.doctor.finding import exit_code

    dev = running_dev(data_dir)
    settings = with_running_servers(load_settings(), data_dir)
    options = examine.Options(outage, nats_monitor, examine.embedded_servers(settings, dev))
    findings = run_to_end(examine.examine(settings, options, acknowledge=acknowledge))
    examine.show(findings, as_json=as_json)
    raise typer.Exit(exit_code(findings))


@app.command("recount", cls=Command)
def recount_(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only report differences; the exit code is 1 if there are any.")
    ] = False,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Go on with what is left after events or aggregates were lost.")
    ] = False,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Recompute the data behind statistics and aggregates, and repair what differs. Safe while events arrive."""
    from rich.console import Console

    from eventscope.cli import recount

    settings = with_running_servers(load_settings(), data_dir)
    raise typer.Exit(run(recount.run(settings, repair=not dry_run, accept_loss=accept_loss, console=Console())))


def main() -> None:
    """Run the command that the arguments name; an error of ours is printed in one line, with exit code 2."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # until a command handles signals itself, Ctrl-C ends it at once and without a traceback, as SIGTERM does
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    prepare()
    try:
        app()
    except EventscopeError as error:
        say(f"eventscope: {redacted_text(str(error))}", sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _with_nats(settings: Settings, data_dir: Path) -> Settings:
    settings = with_running_servers(settings, data_dir)
    if not settings.nats_url:
        raise CannotStart(
            f"no `eventscope dev` is running on {data_dir}: start one, name its folder with --data-dir, or name a NATS"
            f" server in {variable('nats_url')}"
        )
    return settings


def _with_embedded_nats(settings: Settings, data_dir: Path) -> Settings:
    """The settings with the NATS of the running `eventscope dev`; CannotStart unless all its servers are embedded."""
    if settings.nats_url:
        raise CannotStart(
            f"sample events go to embedded servers only, but {variable('nats_url')} names another one:"
            " unset it, or publish there with --server"
        )
    settings = _with_nats(settings, data_dir)
    dev = running_dev(data_dir)
    if dev is None or not {"mongod", "nats"} <= dev.pids.keys():
        raise CannotStart(
            f"the `eventscope dev` on {data_dir} has servers that are not embedded: to publish sample events there,"
            " give --server"
        )
    return settings
