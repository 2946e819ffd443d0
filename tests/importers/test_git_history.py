"""The history of git repositories as events, on real repositories."""

from pathlib import Path

import orjson
import pytest

from eventscope.importers import git_history
from eventscope.importers.git_log import path_text
from eventscope.store.values.message import AcceptedMessage, Arrival
from eventscope.subscriptions.messages.parse import parse_message
from tests.importers.support.workshop import Workshop, events_of, remaining_files

pytestmark = pytest.mark.processes


def test_a_commit_is_an_event_of_its_branch_that_causes_events_of_its_files(workshop: Workshop) -> None:
    first = workshop.commit("Begin\n\nwith a body", a="one\ntwo\n")
    second = workshop.commit("Go on", a="one\n2\nthree\n")

    assert events_of(workshop.events(), first) == [
        {
            "type": "commit.recorded",
            "messageId": f"git:{first}",
            "aggregateType": "branch",
            "aggregateId": "main",
            "timestamp": "2026-11-02T08:30:00Z",
            "userId": "ada@example.com",
            "correlationId": first,
            "data": {
                "hash": first,
                "subject": "Begin",
                "parents": [],
                "author": {"name": "Ada", "email": "ada@example.com", "at": "2026-11-01T07:00:00Z"},
                "committer": {"name": "Ada", "email": "ada@example.com", "at": "2026-11-02T08:30:00Z"},
                "files": 1,
                "linesAdded": 2,
                "linesRemoved": 0,
                "mainline": True,
            },
            "metadata": {"source": "git"},
        },
        {
            "type": "file.created",
            "messageId": f"git:{first}:a",
            "aggregateType": "file",
            "aggregateId": "a",
            "timestamp": "2026-11-02T08:30:00Z",
            "userId": "ada@example.com",
            "correlationId": first,
            "causationId": f"git:{first}",
            "data": {
                "path": "a",
                "kind": "file",
                "mode": "100644",
                "blob": workshop.git("rev-parse", f"{first}:a"),
                "size": 8,
            },
            "metadata": {"source": "git", "subject": "Begin", "linesAdded": 2, "linesRemoved": 0},
        },
    ]
    recorded, updated = events_of(workshop.events(), second)
    assert recorded["causationId"] == f"git:{first}"
    assert (updated["type"], updated["data"]["size"]) == ("file.updated", 12)
    assert (updated["metadata"]["linesAdded"], updated["metadata"]["linesRemoved"]) == (2, 1)


def test_a_rename_creates_the_new_path_and_deletes_the_old_one(workshop: Workshop) -> None:
    workshop.commit("Begin", old="one\ntwo\nthree\nfour\n")
    workshop.git("mv", "old", "new")
    hash = workshop.commit("Rename", new="one\ntwo\nthree\n4\n")

    _, renamed, deleted = events_of(workshop.events(), hash)

    assert (renamed["type"], renamed["aggregateId"]) == ("file.renamed", "new")
    assert renamed["data"]["renamedFrom"] == "old"
    assert renamed["metadata"]["similarity"] > 50
    assert (deleted["type"], deleted["aggregateId"]) == ("file.deleted", "old")
    assert deleted["data"] == {"path": "old", "renamedTo": "new"}
    assert deleted["causationId"] == renamed["messageId"]


def test_a_copy_is_a_new_file_that_names_its_source(workshop: Workshop) -> None:
    workshop.commit("Begin", a="one\ntwo\nthree\nfour\n")
    hash = workshop.commit("Copy", a="one\ntwo\nthree\nfour\nfive\n", b="one\ntwo\nthree\nfour\n")

    _, _, copied = events_of(workshop.events(), hash)

    assert (copied["type"], copied["aggregateId"], copied["data"]["copiedFrom"]) == ("file.created", "b", "a")
    assert remaining_files(workshop.events()) == {"a", "b"}


def test_a_deleted_file_ends_and_may_begin_again(workshop: Workshop) -> None:
    workshop.commit("Begin", a="one\n", b="x\n")
    gone = workshop.commit("Delete", a=None)
    back = workshop.commit("Again", a="other\n")

    events = workshop.events()

    assert [event["type"] for event in events_of(events, gone)] == ["commit.recorded", "file.deleted"]
    assert events_of(events, gone)[1]["metadata"]["linesRemoved"] == 1
    assert [event["type"] for event in events_of(events, back)] == ["commit.recorded", "file.created"]
    assert remaining_files(events) == {"a", "b"}


def test_modes_symlinks_binaries_and_submodules_are_recorded(workshop: Workshop, tmp_path: Path) -> None:
    other = Workshop(tmp_path / "other")
    inner = other.commit("Inside", x="x")
    workshop.commit("Begin", script="#!\n", blob=b"\0\1\2", plain="text\n")
    (workshop.folder / "script").chmod(0o755)
    mode = workshop.commit("Mode")
    (workshop.folder / "plain").unlink()
    (workshop.folder / "plain").symlink_to("script")
    kind = workshop.commit("Kind", blob=b"\0\1\2\3")
    workshop.git("submodule", "--quiet", "add", str(other.folder), "sub")
    module = workshop.commit("Module")

    events = workshop.events()

    [_, chmod] = events_of(events, mode)
    assert (chmod["type"], chmod["data"]["kind"]) == ("file.updated", "executable")
    assert (chmod["data"]["mode"], chmod["metadata"]["previousMode"]) == ("100755", "100644")
    [_, blob, link] = events_of(events, kind)
    assert blob["metadata"]["binary"] is True
    assert blob["data"]["size"] == 4
    assert "linesAdded" not in blob["metadata"]
    assert (link["type"], link["data"]["kind"], link["data"]["size"]) == ("file.updated", "symlink", len("script"))
    submodule = events_of(events, module)[-1]
    assert (submodule["data"]["kind"], submodule["data"]["blob"]) == ("submodule", inner)
    assert "size" not in submodule["data"]
    assert remaining_files(events) == workshop.files("ls-files", "-z")


def test_an_empty_commit_is_recorded_alone(workshop: Workshop) -> None:
    hash = workshop.commit("Nothing")

    [recorded] = events_of(workshop.events(), hash)
    assert recorded["data"]["files"] == 0


def test_a_merge_stands_for_all_that_it_brought_in_and_its_commits_are_recorded_before_it(workshop: Workshop) -> None:
    base = workshop.commit("Begin", a="1\n")
    sides = []
    for name in ("left", "right"):
        workshop.git("switch", "--quiet", "--create", name, base)
        sides.append(workshop.commit(name, **{name: "x\n"}))
    workshop.git("switch", "--quiet", "main")
    own = workshop.commit("Own", a="2\n")
    workshop.git("merge", "--quiet", "--no-ff", "--message=Octopus", "left", "right")
    merge = workshop.git("rev-parse", "HEAD")

    events = workshop.events()

    for side in sides:
        [recorded] = events_of(events, side)
        assert (recorded["data"]["mainline"], recorded["data"]["files"]) == (False, 1)
        assert recorded["causationId"] == f"git:{base}"
    recorded, *files = events_of(events, merge)
    assert recorded["causationId"] == f"git:{own}"
    assert recorded["data"]["parents"] == [own, *sides]
    assert [(file["type"], file["aggregateId"]) for file in files] == [
        ("file.created", "left"),
        ("file.created", "right"),
    ]
    assert events[-3] == recorded
    assert remaining_files(events) == workshop.files("ls-files", "-z") == {"a", "left", "right"}


def test_without_a_branch_the_commits_belong_to_the_repository(workshop: Workshop) -> None:
    workshop.git("switch", "--quiet", "--detach", workshop.commit("Begin"))

    assert [event["aggregateId"] for event in workshop.events()] == ["repository"]


def test_a_subfolder_a_bare_repository_and_a_linked_tree_have_the_same_history(
    workshop: Workshop, tmp_path: Path
) -> None:
    (workshop.folder / "in").mkdir()
    workshop.commit("Begin", **{"in/side": "x\n"})
    workshop.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare"))
    workshop.git("worktree", "add", "--quiet", "--force", str(tmp_path / "tree"), "main")

    for path in (workshop.folder / "in", tmp_path / "bare", tmp_path / "tree"):
        assert list(git_history.read(str(path)).events) == workshop.events()


def test_no_setting_of_the_machine_and_no_stray_file_changes_an_event(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    workshop.commit("Begin", a="one\ntwo\nthree\nfour\n", z="z\n")
    workshop.git("mv", "a", "b")
    workshop.commit("Rename", z="y\n")
    before = workshop.events()

    for name, value in {
        "diff.renames": "false",
        "diff.orderFile": "/nonexistent",
        "diff.external": "false",
        "diff.t.textconv": "false",
        "log.showSignature": "true",
        "log.diffMerges": "off",
        "core.attributesFile": str(tmp_path / "attributes"),
        "i18n.logOutputEncoding": "UTF-16",
    }.items():
        workshop.git("config", name, value)
    (tmp_path / "attributes").write_text("* -diff\n")
    (workshop.folder / ".gitattributes").write_text("* binary diff=t\n")
    (workshop.folder / ".mailmap").write_text("Someone Else <else@example.com> <ada@example.com>\n")
    monkeypatch.setenv("GIT_DIR", str(tmp_path))

    assert workshop.events() == before


def test_the_ingester_accepts_all_events(workshop: Workshop) -> None:
    long = "/".join(["x" * 200] * 6)
    (workshop.folder / long).parent.mkdir(parents=True)
    workshop.commit("s" * 5000, **{long: "x\n", "plain": "x\n"})
    author = f"{'n' * 3000} <{'e' * 3000}>"
    workshop.git("commit", "--quiet", "--allow-empty", "--message=By somebody", f"--author={author}")

    for event in workshop.events():
        message = parse_message(Arrival("", {}, orjson.dumps(event), 1, 0), "EVENTS", None)
        assert isinstance(message, AcceptedMessage), message
    assert {event["data"].get("path") for event in workshop.events()} == {None, long, "plain"}


@pytest.mark.parametrize("time", ["99999999999999", "0"])
def test_a_commit_may_claim_any_time(workshop: Workshop, time: str) -> None:
    tree = workshop.git("mktree")
    person = f"A <> {time} +0000"
    raw = f"tree {tree}\nauthor {person}\ncommitter {person}\n\nodd\n"
    hash = workshop.git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", text=raw.encode())
    workshop.git("update-ref", "HEAD", hash)

    [recorded] = workshop.events()
    assert recorded["timestamp"] in ("9999-12-31T23:59:59Z", "1970-01-01T00:00:00Z")
    assert recorded["userId"] == "A"


def test_different_paths_have_different_ids() -> None:
    paths = [b"caf\xe9", b"caf\xc3\xa9", b"caf%E9", b"caf\\xe9", b"bytes:/caf%E9", b"caf\xe8"]
    assert len({path_text(path) for path in paths}) == len(paths)
    assert path_text(b"caf\xe9") == "bytes://caf%E9"
    assert git_history.file_id("x" * 960) == "x" * 960
    assert len({git_history.file_id("x" * 961), git_history.file_id("x" * 962)}) == 2


def test_the_commits_are_counted(workshop: Workshop) -> None:
    for number in range(3):
        workshop.commit(str(number))

    assert git_history.read(str(workshop.folder)).commits == 3 == len(workshop.events())
