"""Repositories that are empty, shallow, damaged or huge: what is read from them, or why nothing is."""

import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventscope.errors import BadInput, CannotStart
from eventscope.importers import git_history
from eventscope.importers.git_log import commits
from eventscope.importers.git_repository import open_repository
from tests.importers.support.workshop import Workshop

pytestmark = pytest.mark.processes


def test_a_repository_without_commits_has_no_history(workshop: Workshop) -> None:
    assert workshop.events() == []
    assert git_history.read(str(workshop.folder)).commits == 0


def test_what_is_not_a_repository_is_refused_before_anything_is_read(tmp_path: Path) -> None:
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
def test_a_shallow_clone_gives_the_same_events_as_the_whole_where_it_can(
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
    boundary = (clone.folder / ".git" / "shallow").read_text().split() if depth < 4 else []  # later it has everything

    history = git_history.read(str(clone.folder), shallow=True)

    events = list(history.events)
    inside = clone.git("rev-list", "HEAD").split()
    assert events == [one for one in workshop.events() if one["correlationId"] in set(inside).difference(boundary)]
    assert (history.commits, history.omitted_commits) == (len(inside) - len(boundary), len(boundary))


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


def test_a_machine_without_git_gets_an_error_that_says_so(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CannotStart, match="git was not found on this machine"):
        workshop.events()


def test_a_damaged_repository_ends_the_import_with_the_reason_that_git_gives(workshop: Workshop) -> None:
    workshop.commit("Begin", a="1\n")
    tree = workshop.git("rev-parse", "HEAD^{tree}")
    workshop.commit("Go on", a="2\n")
    object = workshop.folder / ".git" / "objects" / tree[:2] / tree[2:]
    object.unlink()

    with pytest.raises(BadInput, match=f"git failed: .*{tree}"):
        workshop.events()


def test_the_size_of_a_blob_that_a_partial_clone_lacks_is_unknown(workshop: Workshop) -> None:
    workshop.commit("Begin", a="12345", b="123")
    blobs = [workshop.git("rev-parse", f"HEAD:{name}") for name in "ab"]

    with open_repository(str(workshop.folder)).sizes() as sizes:
        assert sizes.of([blobs[0], "0" * 40, blobs[1]]) == {blobs[0]: 5, blobs[1]: 3}
        assert len(sizes.of(blobs * 600)) == 2


def test_output_that_is_cut_off_is_an_error(workshop: Workshop) -> None:
    workshop.commit("Begin")
    with pytest.raises(EOFError):
        list(commits(iter([b"\x01aa", b""])))
    with (
        pytest.raises(BadInput, match="its output is cut off"),
        open_repository(str(workshop.folder)).stream("rev-list", "HEAD") as answer,
    ):
        assert answer.read()
        raise EOFError


def test_reading_a_history_may_stop_at_any_event(workshop: Workshop) -> None:
    for number in range(20):
        workshop.commit(str(number), a=f"{number}\n")

    events = git_history.read(str(workshop.folder)).events
    assert isinstance(events, Iterator)
    assert next(events)["type"] == "commit.recorded"
    del events


def test_ten_thousand_commits_are_read_without_being_held_in_memory(workshop: Workshop) -> None:
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
