"""Random histories: after every commit, the events amount to the files that git lists."""

from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.importers.support.workshop import Workshop, remaining_files

pytestmark = pytest.mark.processes


names = st.sampled_from(
    [b"a", b"b c", b'"q"', b"new\nline", b"tab\t", b"\xff", b"\\xff", b"-x", b":1 2", b"\x01", "é".encode(), b"1\t2\tx"]
)


paths = st.lists(names, min_size=1, max_size=3).map(b"/".join)


contents = st.sampled_from([b"", b"\0\1", b"x\n", *(b"1\n2\n3\n4\n5\n6\n7\n8\n" + bytes([n]) for n in b"9abc")])


modes = st.sampled_from([b"100644", b"100755", b"120000", b"160000"])


@dataclass(frozen=True)
class Made:
    """What fast-import must do for one commit."""

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
    """Commits; each except the first has some earlier ones as parents."""
    made = [Made([], draw(st.lists(puts, min_size=3, max_size=6)))]
    for number in range(1, draw(st.integers(1, 7))):
        parents = st.lists(st.integers(max(0, number - 3), number - 1), unique=True, min_size=1, max_size=3)
        made.append(Made(draw(parents), draw(st.lists(changes, max_size=5))))
    return made


def quoted(path: bytes) -> bytes:
    return b'"' + b"".join(b"\\%03o" % byte for byte in path) + b'"'


def import_stream(history: list[Made]) -> bytes:
    """The history in the format of git fast-import."""
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
def test_after_every_commit_of_the_line_the_events_add_up_to_the_files_that_git_lists(
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
        assert remaining_files(events[: until + 1]) == workshop.files("ls-tree", "-r", "-z", "--name-only", hash)
