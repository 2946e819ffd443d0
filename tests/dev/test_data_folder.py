"""A data folder says what runs on it, and allows only one program at a time."""

import os
import stat
from pathlib import Path

import pytest

from eventscope.dev.data_folder import RunningDev, forget, locked, running_dev, with_running_servers
from eventscope.errors import CannotStart
from eventscope.settings import Settings

HERE = RunningDev(
    api="http://127.0.0.1:1", mongo="mongodb://127.0.0.1:2", nats="nats://127.0.0.1:3", pids={"dev": os.getpid()}
)


async def test_a_running_dev_is_found_by_its_folder(tmp_path: Path) -> None:
    async with locked(tmp_path):
        HERE.write(tmp_path)
        assert running_dev(tmp_path) == HERE
        forget(tmp_path)
        assert running_dev(tmp_path) is None


async def test_a_stale_file_is_ignored_although_its_process_id_is_in_use_again(tmp_path: Path) -> None:
    async with locked(tmp_path):
        HERE.write(tmp_path)
    assert running_dev(tmp_path) is None


async def test_a_stale_file_is_ignored_while_children_of_a_killed_process_are_still_ending(tmp_path: Path) -> None:
    async with locked(tmp_path):
        RunningDev(api="", mongo="", nats="", pids={"dev": 2**22 + 1}).write(tmp_path)  # no process has such an id
        assert running_dev(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"api": "", "mongo": "", "nats": "", "pids": {}}'])
async def test_a_file_that_is_not_ours_is_ignored(content: bytes, tmp_path: Path) -> None:
    async with locked(tmp_path):
        (tmp_path / "running.json").write_bytes(content)
        assert running_dev(tmp_path) is None


def test_nothing_runs_on_a_missing_folder(tmp_path: Path) -> None:
    assert running_dev(tmp_path / "none") is None


def test_addresses_are_readable_by_their_owner_only_since_they_may_contain_a_password(tmp_path: Path) -> None:
    HERE.write(tmp_path)
    assert stat.S_IMODE((tmp_path / "running.json").stat().st_mode) == 0o600


async def test_a_second_dev_reports_where_the_first_one_runs(tmp_path: Path) -> None:
    async with locked(tmp_path):
        HERE.write(tmp_path)
        with pytest.raises(CannotStart) as error:
            async with locked(tmp_path):
                pass
        assert str(error.value) == (
            f"`eventscope dev` is already running on {tmp_path}, at http://127.0.0.1:1;"
            " to run a second one, give it another folder with --data-dir"
        )


async def test_a_second_dev_waits_a_little_for_one_that_is_starting_or_stopping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventscope.dev.data_folder.PATIENCE_SECONDS", 0.1)
    async with locked(tmp_path):
        with pytest.raises(CannotStart, match="is starting or stopping on"):
            async with locked(tmp_path):
                pass
    async with locked(tmp_path):
        assert (tmp_path / "lock").exists()


async def test_an_impossible_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotStart) as error:
        async with locked(tmp_path / "file"):
            pass
    assert str(error.value) == f"{tmp_path}/file cannot be the data folder: File exists"


async def test_servers_that_are_not_set_are_those_of_the_running_dev(tmp_path: Path) -> None:
    unset, chosen = Settings(), Settings(mongo_url="mongodb://elsewhere")
    assert with_running_servers(unset, tmp_path) == unset
    async with locked(tmp_path):
        HERE.write(tmp_path)
        assert with_running_servers(unset, tmp_path) == Settings(mongo_url=HERE.mongo, nats_url=HERE.nats)
        assert with_running_servers(chosen, tmp_path) == Settings(mongo_url="mongodb://elsewhere", nats_url=HERE.nats)


async def test_credentials_for_another_nats_are_not_used_for_the_one_that_runs_here(tmp_path: Path) -> None:
    files = {"nats_ca_file": "ca.pem", "nats_credentials_file": "user.creds", "nats_domain": "hub"}
    async with locked(tmp_path):
        HERE.write(tmp_path)
        assert with_running_servers(Settings.model_validate(files), tmp_path) == Settings(
            mongo_url=HERE.mongo, nats_url=HERE.nats
        )
        theirs = Settings.model_validate({**files, "nats_url": "nats://elsewhere"})
        assert with_running_servers(theirs, tmp_path) == theirs.model_copy(update={"mongo_url": HERE.mongo})
