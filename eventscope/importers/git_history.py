"""The history of a git repository as events: what each commit did to each file, who did it, and after which commit.

Each commit that the current branch reaches is a `commit.recorded`, parents before children, on an aggregate of type
`branch`; its cause is the event of its first parent. `file.created|updated|renamed|deleted` follow it, caused by it, on
aggregates of type `file`, whose ids are the paths.

Files have events along the first-parent line of the branch only. A merge there stands for all changes that it brought
in; the merged commits are recorded before it, without events of their files (`mainline` is false). Two lines of
history, one after the other, would contradict each other about a file. This way, after every commit of the line, the
files whose last event is not `file.deleted` are those of `git ls-files`.

A rename belongs to both paths: `file.renamed` begins the new one, and causes a `file.deleted` that ends the old one.

All ids are made from the hashes, so a growing history may be imported repeatedly, and each event is stored once. A log
can hold only one branch of a repository: two would disagree about the files.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from eventscope.errors import BadInput
from eventscope.importers.git_log import ARGUMENTS, SUBMODULE, Change, Commit, Person, commits
from eventscope.importers.git_repository import Repository, Sizes, open_repository, tokens
from eventscope.subscriptions.publish.protocol import EventMessage

UNNAMED_BRANCH: Final = "repository"  # when no branch is checked out
LAST_SECOND: Final = 253402300799  # the end of the year 9999; a commit can claim any time
MOST_ID: Final = 960  # ids of events may have 1,024 characters, and those of file events hold a hash as well
MOST_TEXT: Final = 1000

COMMIT: Final = "commit.recorded"
TYPES: Final = {"A": "file.created", "C": "file.created", "D": "file.deleted", "R": "file.renamed"}


@dataclass(frozen=True, slots=True)
class History:
    """The events of a repository, with the numbers of commits that they include and omit."""

    commits: int
    omitted_commits: int
    events: Iterator[EventMessage]


def read(path: str, *, shallow: bool = False) -> History:
    """The history; its events are read lazily from a running git.

    BadInput when the path is not a git repository, or is a shallow clone. With `shallow`, the oldest commits of a
    shallow clone are omitted instead: without their parents, they would seem to have created every file.
    """
    repository = open_repository(path)
    if repository.head is None:
        return History(0, 0, iter(()))
    roots = repository.run("rev-list", "--max-parents=0", repository.head).split("\n")
    cut = frozenset(filter(repository.has_parents, repository.boundary.intersection(roots)))
    if cut and not shallow:
        raise BadInput(
            f"{path} is a shallow clone, and its oldest commits would seem to have created all files;"
            " run `git fetch --unshallow` there, or omit these commits with --shallow",
            "source",
        )
    total = int(repository.run("rev-list", "--count", repository.head))
    return History(total - len(cut), len(cut), _events(repository, repository.head, cut))


def file_id(path: str) -> str:
    """The aggregate id of a file: its path; if that is too long, a hash, which no path can equal."""
    return path if len(path) <= MOST_ID else f"sha256://{hashlib.sha256(path.encode()).hexdigest()}"


def _events(repository: Repository, head: str, cut: frozenset[str]) -> Iterator[EventMessage]:
    line = ("rev-list", "--first-parent", "--reverse", head)
    with (
        repository.stream(*ARGUMENTS, head) as log,
        repository.stream(*line) as mainline,
        repository.sizes() as sizes,
    ):
        # both list parents first, so the commits of the line appear in the order of `mainline`
        expected = tokens(mainline, b"\n")
        next_on_line = next(expected, b"")
        for commit in commits(tokens(log, b"\0")):
            is_on_line = commit.hash.encode() == next_on_line
            if is_on_line:
                next_on_line = next(expected, b"")
            if commit.hash in cut:
                continue
            recorded = _recorded(commit, repository.branch or UNNAMED_BRANCH, is_on_line)
            yield recorded
            if is_on_line:
                yield from _files(commit, recorded, sizes)


def _recorded(commit: Commit, branch: str, is_on_line: bool) -> EventMessage:
    counted = [change.lines for change in commit.changes if change.lines is not None]
    return _without_none(
        {
            "type": COMMIT,
            "messageId": f"git:{commit.hash}",
            "aggregateType": "branch",
            "aggregateId": branch[:MOST_TEXT],
            "timestamp": _time(commit.committer.time),
            "userId": _user(commit.author),
            "correlationId": commit.hash,
            "causationId": f"git:{commit.parents[0]}" if commit.parents else None,
            "data": {
                "hash": commit.hash,
                "subject": _short(commit.subject),
                "parents": list(commit.parents),
                "author": _person(commit.author),
                "committer": _person(commit.committer),
                "files": len(commit.changes),
                "linesAdded": sum(added for added, _ in counted),
                "linesRemoved": sum(removed for _, removed in counted),
                "mainline": is_on_line,
            },
            "metadata": {"source": "git"},
        }
    )


def _files(commit: Commit, recorded: EventMessage, sizes: Sizes) -> Iterator[EventMessage]:
    blobs = {change.blob for change in commit.changes if change.status != "D" and change.mode != SUBMODULE}
    bytes_of = sizes.of(sorted(blobs))
    for change in commit.changes:
        event = _file(TYPES.get(change.status, "file.updated"), change.path, commit, recorded)
        event["data"].update(_state(change, bytes_of.get(change.blob)))
        event["metadata"].update(_measure(change))
        yield event
        if change.status == "R" and change.source is not None:
            ended = _file("file.deleted", change.source, commit, event)
            ended["data"]["renamedTo"] = change.path
            yield ended


def _file(type: str, path: str, commit: Commit, cause: EventMessage) -> EventMessage:
    return _without_none(
        {
            "type": type,
            "messageId": f"git:{commit.hash}:{file_id(path)}",
            "aggregateType": "file",
            "aggregateId": file_id(path),
            "timestamp": _time(commit.committer.time),
            "userId": _user(commit.author),
            "correlationId": commit.hash,
            "causationId": cause["messageId"],
            "data": {"path": path},
            "metadata": {"source": "git", "subject": _short(commit.subject)},
        }
    )


def _state(change: Change, size: int | None) -> dict[str, Any]:
    """The state of the file after the change."""
    if change.status == "D":
        return {}
    origin = {"R": "renamedFrom", "C": "copiedFrom"}.get(change.status, "")
    state = {"kind": change.kind, "mode": change.mode, "blob": change.blob, "size": size, origin: change.source}
    return _without_none(state)


def _measure(change: Change) -> dict[str, Any]:
    """The size of the change."""
    added, removed = change.lines or (None, None)
    measure: dict[str, Any] = {"linesAdded": added, "linesRemoved": removed, "similarity": change.similarity}
    if change.lines is None:
        measure["binary"] = True
    if change.status in "MT" and change.mode != change.old_mode:
        measure["previousMode"] = change.old_mode
    return _without_none(measure)


def _user(author: Person) -> str | None:
    return _short(author.email or author.name) or None


def _person(person: Person) -> dict[str, str]:
    return {"name": _short(person.name), "email": _short(person.email), "at": _time(person.time)}


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(min(max(seconds, 0), LAST_SECOND), UTC).isoformat().replace("+00:00", "Z")


def _short(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 1]}…"


def _without_none(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
