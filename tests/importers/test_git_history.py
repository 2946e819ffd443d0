"""The history of git repositories as events, on real repositories."""

import os
import subprocess
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventscope.errors import BadInput, CannotStart
from eventscope.importers import git_history
from eventscope.importers.git_log import commits, path_text
from eventscope.importers.git_repository import open_repository
from eventscope.store.values.message import AcceptedMessage, Arrival
from eventscope.subscriptions.messages.parse import parse_message as take

pytestmark = pytest.mark.processes

Event = dict[str, Any]

WHO = {"NAME": "Ada", "EMAIL": "ada@example.com"}
ENVIRONMENT = {
    **os.environ,
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{role}_{name}": text for role in ("AUTHOR", "COMMITTER") for name, text in WHO.items()},
    "GIT_AUTHOR_DATE": "2026-11-01T09:00:00+02:00",
    "GIT_COMMITTER_DATE": "2026-11-02T10:30:00+02:00",
}


class Workshop:
    """A repository that a test builds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str, text: bytes = b"") -> str:
        command = ["git", "-c", "protocol.file.allow=always", *arguments]
        done = subprocess.run(command, cwd=self.folder, env=ENVIRONMENT, input=text, check=True, stdout=subprocess.PIPE)
        return os.fsdecode(done.stdout).strip("\n")

    def commit(self, subject: str, **files: str | bytes | None) -> str:
        """Write (or with None remove) files, commit all, and return the hash."""
        for name, content in files.items():
            if content is None:
                (self.folder / name).unlink()
            else:
                (self.folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={subject}")
        return self.git("rev-parse", "HEAD")

    def events(self) -> list[Event]:
        return list(git_history.read(str(self.folder)).events)

    def files(self, *arguments: str) -> set[str]:
        """What git lists, as aggregate ids."""
        out = self.git(*arguments)
        return {git_history.file_id(path_text(os.fsencode(name))) for name in out.split("\0") if name}


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path / "work")


def fold(events: list[Event]) -> set[str]:
    """The files whose last event is not a deletion."""
    last = {event["aggregateId"]: event["type"] for event in events if event["aggregateType"] == "file"}
    return {id for id, type in last.items() if not type.endswith(".deleted")}


def of(events: list[Event], hash: str) -> list[Event]:
    return [event for event in events if event["correlationId"] == hash]


def test_a_commit_is_an_event_of_its_branch_that_causes_events_of_its_files(workshop: Workshop) -> None:
    first = workshop.commit("Begin\n\nwith a body", a="one\ntwo\n")
    second = workshop.commit("Go on", a="one\n2\nthree\n")

    assert of(workshop.events(), first) == [
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
    recorded, updated = of(workshop.events(), second)
    assert recorded["causationId"] == f"git:{first}"
    assert (updated["type"], updated["data"]["size"]) == ("file.updated", 12)
    assert (updated["metadata"]["linesAdded"], updated["metadata"]["linesRemoved"]) == (2, 1)


def test_a_rename_begins_the_new_path_and_ends_the_old_one(workshop: Workshop) -> None:
    workshop.commit("Begin", old="one\ntwo\nthree\nfour\n")
    workshop.git("mv", "old", "new")
    hash = workshop.commit("Rename", new="one\ntwo\nthree\n4\n")

    _, renamed, deleted = of(workshop.events(), hash)

    assert (renamed["type"], renamed["aggregateId"]) == ("file.renamed", "new")
    assert renamed["data"]["renamedFrom"] == "old"
    assert renamed["metadata"]["similarity"] > 50
    assert (deleted["type"], deleted["aggregateId"]) == ("file.deleted", "old")
    assert deleted["data"] == {"path": "old", "renamedTo": "new"}
    assert deleted["causationId"] == renamed["messageId"]


def test_a_copy_is_a_new_file_that_names_its_source(workshop: Workshop) -> None:
    workshop.commit("Begin", a="one\ntwo\nthree\nfour\n")
    hash = workshop.commit("Copy", a="one\ntwo\nthree\nfour\nfive\n", b="one\ntwo\nthree\nfour\n")

    _, _, copied = of(workshop.events(), hash)

    assert (copied["type"], copied["aggregateId"], copied["data"]["copiedFrom"]) == ("file.created", "b", "a")
    assert fold(workshop.events()) == {"a", "b"}


def test_a_deleted_file_ends_and_may_begin_again(workshop: Workshop) -> None:
    workshop.commit("Begin", a="one\n", b="x\n")
    gone = workshop.commit("Delete", a=None)
    back = workshop.commit("Again", a="other\n")

    events = workshop.events()

    assert [event["type"] for event in of(events, gone)] == ["commit.recorded", "file.deleted"]
    assert of(events, gone)[1]["metadata"]["linesRemoved"] == 1
    assert [event["type"] for event in of(events, back)] == ["commit.recorded", "file.created"]
    assert fold(events) == {"a", "b"}


def test_modes_symlinks_binaries_and_submodules_are_told(workshop: Workshop, tmp_path: Path) -> None:
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

    [_, chmod] = of(events, mode)
    assert (chmod["type"], chmod["data"]["kind"]) == ("file.updated", "executable")
    assert (chmod["data"]["mode"], chmod["metadata"]["previousMode"]) == ("100755", "100644")
    [_, blob, link] = of(events, kind)
    assert blob["metadata"]["binary"] is True
    assert blob["data"]["size"] == 4
    assert "linesAdded" not in blob["metadata"]
    assert (link["type"], link["data"]["kind"], link["data"]["size"]) == ("file.updated", "symlink", len("script"))
    submodule = of(events, module)[-1]
    assert (submodule["data"]["kind"], submodule["data"]["blob"]) == ("submodule", inner)
    assert "size" not in submodule["data"]
    assert fold(events) == workshop.files("ls-files", "-z")


def test_an_empty_commit_is_recorded_alone(workshop: Workshop) -> None:
    hash = workshop.commit("Nothing")

    [recorded] = of(workshop.events(), hash)
    assert recorded["data"]["files"] == 0


def test_a_merge_stands_for_all_that_it_brought_and_its_commits_are_recorded_before_it(workshop: Workshop) -> None:
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
        [recorded] = of(events, side)
        assert (recorded["data"]["mainline"], recorded["data"]["files"]) == (False, 1)
        assert recorded["causationId"] == f"git:{base}"
    recorded, *files = of(events, merge)
    assert recorded["causationId"] == f"git:{own}"
    assert recorded["data"]["parents"] == [own, *sides]
    assert [(file["type"], file["aggregateId"]) for file in files] == [
        ("file.created", "left"),
        ("file.created", "right"),
    ]
    assert events[-3] == recorded
    assert fold(events) == workshop.files("ls-files", "-z") == {"a", "left", "right"}


def test_without_a_branch_the_commits_are_those_of_the_repository(workshop: Workshop) -> None:
    workshop.git("switch", "--quiet", "--detach", workshop.commit("Begin"))

    assert [event["aggregateId"] for event in workshop.events()] == ["repository"]


def test_a_folder_inside_a_bare_and_a_linked_tree_tell_the_same_history(workshop: Workshop, tmp_path: Path) -> None:
    (workshop.folder / "in").mkdir()
    workshop.commit("Begin", **{"in/side": "x\n"})
    workshop.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare"))
    workshop.git("worktree", "add", "--quiet", "--force", str(tmp_path / "tree"), "main")

    for path in (workshop.folder / "in", tmp_path / "bare", tmp_path / "tree"):
        assert list(git_history.read(str(path)).events) == workshop.events()


def test_no_setting_of_the_machine_and_no_file_lying_around_changes_an_event(
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


def test_all_events_are_such_as_the_ingester_takes(workshop: Workshop) -> None:
    long = "/".join(["x" * 200] * 6)
    (workshop.folder / long).parent.mkdir(parents=True)
    workshop.commit("s" * 5000, **{long: "x\n", "plain": "x\n"})
    author = f"{'n' * 3000} <{'e' * 3000}>"
    workshop.git("commit", "--quiet", "--allow-empty", "--message=By somebody", f"--author={author}")

    for event in workshop.events():
        taken = take(Arrival("", {}, orjson.dumps(event), 1, 0), "EVENTS", None)
        assert isinstance(taken, AcceptedMessage), taken
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


def test_paths_that_differ_have_ids_that_differ() -> None:
    paths = [b"caf\xe9", b"caf\xc3\xa9", b"caf%E9", b"caf\\xe9", b"bytes:/caf%E9", b"caf\xe8"]
    assert len({path_text(path) for path in paths}) == len(paths)
    assert path_text(b"caf\xe9") == "bytes://caf%E9"
    assert git_history.file_id("x" * 960) == "x" * 960
    assert len({git_history.file_id("x" * 961), git_history.file_id("x" * 962)}) == 2


def test_the_commits_are_counted(workshop: Workshop) -> None:
    for number in range(3):
        workshop.commit(str(number))

    assert git_history.read(str(workshop.folder)).commits == 3 == len(workshop.events())


def test_a_repository_without_a_commit_has_no_history(workshop: Workshop) -> None:
    assert workshop.events() == []
    assert git_history.read(str(workshop.folder)).commits == 0


def test_what_is_no_repository_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not a git repository that can be read"):
        git_history.read(str(tmp_path))
    with pytest.raises(BadInput, match="is not a folder, so it is not a git repository"):
        git_history.read(str(tmp_path / "missing"))


def shallow_clone(workshop: Workshop, folder: Path, depth: int) -> Workshop:
    workshop.git("clone", "--quiet", f"--depth={depth}", f"file://{workshop.folder}", str(folder))
    return Workshop(folder)


def test_a_shallow_clone_is_refused_until_the_rest_is_fetched(workshop: Workshop, tmp_path: Path) -> None:
    workshop.commit("Begin", a="1\n", b="1\n")
    workshop.commit("Go on", a="2\n")
    clone = shallow_clone(workshop, tmp_path / "clone", 1)

    with pytest.raises(BadInput, match=r"is a shallow clone.*run `git fetch --unshallow` there, or .* --shallow"):
        clone.events()

    clone.git("fetch", "--quiet", "--unshallow")
    assert clone.events() == workshop.events()


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_of_a_shallow_clone_all_is_told_that_can_be_as_of_the_whole(
    workshop: Workshop, tmp_path: Path, depth: int
) -> None:
    workshop.commit("Begin", a="1\n", b="1\n", c="1\n")
    workshop.git("checkout", "--quiet", "-b", "side")
    workshop.commit("Aside", b="2\n")
    workshop.git("checkout", "--quiet", "main")
    workshop.commit("Go on", a="2\n")
    workshop.git("merge", "--quiet", "--no-ff", "-m", "Join", "side")
    workshop.commit("End", a="3\n")
    clone = shallow_clone(workshop, tmp_path / "clone", depth)
    boundary = (clone.folder / ".git" / "shallow").read_text().split() if depth < 4 else []  # later on it has it all

    history = git_history.read(str(clone.folder), shallow=True)

    events = list(history.events)
    inside = clone.git("rev-list", "HEAD").split()
    assert events == [one for one in workshop.events() if one["correlationId"] in set(inside).difference(boundary)]
    assert (history.commits, history.omitted) == (len(inside) - len(boundary), len(boundary))


def test_a_boundary_that_the_current_branch_does_not_reach_cuts_nothing_off(workshop: Workshop) -> None:
    workshop.commit("Begin", a="1\n")
    other = workshop.git("commit-tree", "-m", "Elsewhere", "HEAD^{tree}")
    (workshop.folder / ".git" / "shallow").write_text(f"{other}\n")
    assert len(workshop.events()) == 2


def test_grafts_of_this_machine_change_no_event(workshop: Workshop) -> None:
    workshop.commit("Begin", a="1\n")
    tip = workshop.commit("Go on", b="1\n")
    before = workshop.events()
    (workshop.folder / ".git" / "info").mkdir(exist_ok=True)
    (workshop.folder / ".git" / "info" / "grafts").write_text(f"{tip}\n")
    assert workshop.events() == before


def test_a_machine_without_git_is_told_so(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CannotStart, match="git was not found on this machine"):
        workshop.events()


def test_a_damaged_repository_ends_with_the_reason_that_git_gives(workshop: Workshop) -> None:
    workshop.commit("Begin", a="1\n")
    tree = workshop.git("rev-parse", "HEAD^{tree}")
    workshop.commit("Go on", a="2\n")
    object = workshop.folder / ".git" / "objects" / tree[:2] / tree[2:]
    object.unlink()

    with pytest.raises(BadInput, match=f"git failed: .*{tree}"):
        workshop.events()


def test_the_size_of_what_a_partial_clone_does_not_hold_is_unknown(workshop: Workshop) -> None:
    workshop.commit("Begin", a="12345", b="123")
    blobs = [workshop.git("rev-parse", f"HEAD:{name}") for name in "ab"]

    with open_repository(str(workshop.folder)).sizes() as sizes:
        assert sizes.of([blobs[0], "0" * 40, blobs[1]]) == {blobs[0]: 5, blobs[1]: 3}
        assert len(sizes.of(blobs * 600)) == 2


def test_an_answer_that_is_cut_off_is_no_answer(workshop: Workshop) -> None:
    workshop.commit("Begin")
    with pytest.raises(EOFError):
        list(commits(iter([b"\x01aa", b""])))
    with (
        pytest.raises(BadInput, match="its output is cut off"),
        open_repository(str(workshop.folder)).stream("rev-list", "HEAD") as answer,
    ):
        assert answer.read()
        raise EOFError


def test_reading_may_stop_at_any_event(workshop: Workshop) -> None:
    for number in range(20):
        workshop.commit(str(number), a=f"{number}\n")

    events = git_history.read(str(workshop.folder)).events
    assert isinstance(events, Iterator)
    assert next(events)["type"] == "commit.recorded"
    del events


def test_ten_thousand_commits_are_told_without_being_held(workshop: Workshop) -> None:
    stream = [
        f"commit refs/heads/main\ncommitter A <a@example.com> {number + 1} +0000\ndata 1\nx\n"
        f"M 100644 inline f{number % 100}\ndata 12\n{number:012}\n"
        for number in range(10_000)
    ]
    workshop.git("fast-import", "--quiet", text="".join(stream).encode())
    tracemalloc.start()
    try:
        types = Counter(event["type"] for event in git_history.read(str(workshop.folder)).events)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert types == {"commit.recorded": 10_000, "file.created": 100, "file.updated": 9_900}
    assert peak < 4_000_000


names = st.sampled_from(
    [b"a", b"b c", b'"q"', b"new\nline", b"tab\t", b"\xff", b"\\xff", b"-x", b":1 2", b"\x01", "é".encode(), b"1\t2\tx"]
)
paths = st.lists(names, min_size=1, max_size=3).map(b"/".join)
contents = st.sampled_from([b"", b"\0\1", b"x\n", *(b"1\n2\n3\n4\n5\n6\n7\n8\n" + bytes([n]) for n in b"9abc")])
modes = st.sampled_from([b"100644", b"100755", b"120000", b"160000"])


@dataclass(frozen=True)
class Made:
    """What fast-import shall do for one commit."""

    parents: list[int]
    steps: list[tuple[bytes, ...]]


puts = st.tuples(st.just(b"M"), modes, paths, contents)
any_file = st.binary(min_size=1, max_size=1)
changes = st.one_of(
    *[puts] * 4,
    *[st.tuples(st.sampled_from([b"C", b"R"]), any_file, paths)] * 4,
    st.tuples(st.just(b"D"), any_file),
    st.tuples(st.sampled_from([b"D", b"deleteall"]), any_file),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Made]:
    """Commits that each have some earlier ones as parents, unless they are the first."""
    made = [Made([], draw(st.lists(puts, min_size=3, max_size=6)))]
    for number in range(1, draw(st.integers(1, 7))):
        parents = st.lists(st.integers(max(0, number - 3), number - 1), unique=True, min_size=1, max_size=3)
        made.append(Made(draw(parents), draw(st.lists(changes, max_size=5))))
    return made


def quoted(path: bytes) -> bytes:
    return b'"' + b"".join(b"\\%03o" % byte for byte in path) + b'"'


def import_stream(history: list[Made]) -> bytes:
    """The history in the language of git fast-import."""
    lines: list[bytes] = []
    alive: list[set[bytes]] = []
    for number, made in enumerate(history):
        files = set(alive[made.parents[0]]) if made.parents else set()
        lines += [b"commit refs/heads/c%d" % number, b"mark :%d" % (number + 1)]
        lines += [b"committer A <a@example.com> %d +0000" % (1_700_000_000 - number), b"data 1\nx"]
        for place, parent in enumerate(made.parents):
            lines.append(b"%s :%d" % (b"merge" if place else b"from", parent + 1))
        for step in made.steps:
            lines += _step(step, files)
        alive.append(files)
    return b"\n".join([*lines, b""])


def _step(step: tuple[bytes, ...], files: set[bytes]) -> list[bytes]:
    verb, *rest = step
    if verb == b"M":
        mode, path, content = rest
        _put(path, files)
        if mode == b"160000":
            return [b"M 160000 %s %s" % (b"12345678" * 5, quoted(path))]
        return [b"M %s inline %s" % (mode, quoted(path)), b"data %d\n%s" % (len(content), content)]
    if not files:
        return []
    source = sorted(files)[rest[0][0] % len(files)]
    if verb == b"deleteall":
        files.clear()
        return [b"deleteall"]
    if verb == b"D":
        files.discard(source)
        return [b"D " + quoted(source)]
    if _within(source, rest[1]):
        return []
    if verb == b"R":
        files.discard(source)
    _put(rest[1], files)
    return [b"%s %s %s" % (verb, quoted(source), quoted(rest[1]))]


def _put(path: bytes, files: set[bytes]) -> None:
    files -= {file for file in files if _within(path, file)}
    files.add(path)


def _within(one: bytes, other: bytes) -> bool:
    return one == other or one.startswith(other + b"/") or other.startswith(one + b"/")


@given(histories())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_after_every_commit_of_the_line_the_events_make_the_files_that_git_lists(
    tmp_path_factory: pytest.TempPathFactory, history: list[Made]
) -> None:
    workshop = Workshop(tmp_path_factory.mktemp("random"))
    workshop.git("fast-import", "--quiet", text=import_stream(history))
    workshop.git("symbolic-ref", "HEAD", f"refs/heads/c{len(history) - 1}")
    line = workshop.git("rev-list", "--first-parent", "--reverse", "HEAD").split("\n")

    events = workshop.events()

    ids = [event["messageId"] for event in events]
    assert len(set(ids)) == len(ids)
    told = [event["correlationId"] for event in events if event["type"] == "commit.recorded"]
    assert sorted(told) == sorted(workshop.git("rev-list", "HEAD").split("\n"))
    place = {id: number for number, id in enumerate(ids)}
    assert all(place[event["causationId"]] < place[event["messageId"]] for event in events if "causationId" in event)
    for hash in line:
        until = max(number for number, event in enumerate(events) if event["correlationId"] == hash)
        assert fold(events[: until + 1]) == workshop.files("ls-tree", "-r", "-z", "--name-only", hash)
