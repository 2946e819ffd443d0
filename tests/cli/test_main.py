"""Starting: a problem is reported in one sentence, with the setting that solves it, and exit code 2."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from eventscope.processes.ports import free
from eventscope.settings import PREFIX

pytestmark = pytest.mark.processes


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {f"{PREFIX}{name}": value for name, value in environment.items()}
    return subprocess.run(
        [sys.executable, "-m", "eventscope", *arguments],
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        timeout=60,
    )


def _refusal(done: subprocess.CompletedProcess[str]) -> str:
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 2, done.stderr
    assert last.startswith("eventscope: ")
    assert "Traceback" not in done.stderr
    return last


@pytest.mark.parametrize("command", ["ingest", "serve", "dev"])
def test_an_unknown_setting_is_refused_with_the_one_that_was_probably_meant(command: str) -> None:
    assert "EVENTSCOPE_NATS_URI is not a setting; did you mean EVENTSCOPE_NATS_URL?" in _refusal(
        _run(command, NATS_URI="nats://127.0.0.1")
    )


def test_a_wrong_value_is_refused_and_quoted() -> None:
    assert "EVENTSCOPE_BATCH is 'many'" in _refusal(_run("ingest", BATCH="many"))


@pytest.mark.parametrize(
    "arguments", [("ingest",), ("serve",), ("serve", "--no-ingest"), ("serve", "--workers", "2")], ids=" ".join
)
def test_without_servers_the_error_names_the_missing_setting_even_if_the_port_is_taken(
    arguments: tuple[str, ...],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert "EVENTSCOPE_MONGO_URL is not set" in _refusal(_run(*arguments, PORT=port))


@pytest.mark.parametrize(
    "arguments", [("doctor",), ("recount",), ("rejected", "list"), ("import", "events.jsonl")], ids=" ".join
)
def test_without_servers_a_command_that_finds_them_by_a_folder_names_the_option(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    done = _run(*arguments, "--data-dir", str(tmp_path))
    assert done.returncode == 2
    assert "--data-dir" in done.stdout + done.stderr


@pytest.mark.parametrize("workers", [(), ("--workers", "2")], ids=["alone", "workers"])
def test_serve_listens_at_the_port_of_its_option_rather_than_of_the_setting(
    workers: tuple[str, ...], mongo_url: str, nats_url: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        arguments = ("serve", "--no-ingest", "--port", port, *workers)
        said = _refusal(_run(*arguments, MONGO_URL=mongo_url, NATS_URL=nats_url, PORT=str(free())))
    assert f"127.0.0.1:{port}" in said


@pytest.mark.parametrize("arguments", [("ingest",), ("serve", "--no-ingest")])
def test_an_unreachable_mongodb_is_named_without_its_password(arguments: tuple[str, ...], nats_url: str) -> None:
    url = f"mongodb://ada:secret@127.0.0.1:{free()}/"
    said = _refusal(_run(*arguments, MONGO_URL=url, NATS_URL=nats_url, PORT="0"))
    assert "MongoDB cannot be reached" in said
    assert "EVENTSCOPE_MONGO_URL" in said
    assert "secret" not in said


@pytest.mark.parametrize("arguments", [("ingest",), ("serve", "--no-ingest")])
def test_an_unreachable_nats_is_named(arguments: tuple[str, ...], mongo_url: str) -> None:
    said = _refusal(_run(*arguments, MONGO_URL=mongo_url, NATS_URL=f"nats://127.0.0.1:{free()}", PORT="0"))
    assert "NATS cannot be reached" in said
    assert "EVENTSCOPE_NATS_URL" in said


def test_an_invalid_address_is_refused(nats_url: str) -> None:
    said = _refusal(_run("ingest", MONGO_URL="http://localhost", NATS_URL=nats_url))
    assert "EVENTSCOPE_MONGO_URL cannot be used" in said


def test_subjects_that_would_capture_our_own_messages_are_refused(mongo_url: str, nats_url: str) -> None:
    said = _refusal(_run("ingest", MONGO_URL=mongo_url, NATS_URL=nats_url, SUBJECTS="eventscope.>"))
    assert "EVENTSCOPE_SUBJECTS has eventscope.>" in said


def test_import_without_a_server_reports_what_to_do() -> None:
    assert "EVENTSCOPE_NATS_URL" in _refusal(_run("import", "events.jsonl", "--data-dir", "/nowhere"))
