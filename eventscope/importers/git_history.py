"""The history of a git repository as events: what each commit did to each file, who did it, and after which commit.

`commit.recorded` stands for every commit that the current branch reaches, parents before children, on the aggregate
`branch`; its cause is the event of its first parent. `file.created|updated|renamed|deleted` follow it, caused by it, on
the aggregates `file`, whose id is the path.

Files move along the branch's own line only: from each commit to its first parent and so on. A merge there stands for
all that it brought, and the commits that it brought are recorded before it without events of their files (`mainline` is
false). Two lines of history told one after the other would contradict each other about a file; told this way, the files
whose last event is not `file.deleted` are those of `git ls-files`, after every commit of the line.

A rename belongs to both paths: `file.renamed` begins the new one, and causes a `file.deleted` that ends the old one.

All ids follow from the hashes, so a history can be imported again and again while it grows, and each event is stored
once. One log takes one branch of a repository: its file aggregates have no room for a second truth.
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
LAST_SECOND: Final = 253402300799  # of the year 9999; a commit can claim any time
MOST_ID: Final = 960  # an event's ids may have 1,024 characters, and that of a file's event holds a hash as well
MOST_TEXT: Final = 1000

COMMIT: Final = "commit.recorded"
TYPES: Final = {"A": "file.created", "C": "file.created", "D": "file.deleted", "R": "file.renamed"}


@dataclass(frozen=True, slots=True)
class History:
    """The history of a repository: how many commits `events` tells of, and how many it leaves out."""

    commits: int
    omitted: int
    events: Iterator[EventMessage]


def read(path: str, *, shallow: bool = False) -> History:
    """The history, whose events come while git still walks it.

    BadInput when the path is no git repository, or a shallow clone. With `shallow` the commits at the boundary of a
    shallow clone are left out: it does not have what was before them, so they would seem to have made every file.
    """
    repository = open_repository(path)
    if repository.head is None:
        return History(0, 0, iter(()))
    roots = repository.ask("rev-list", "--max-parents=0", repository.head).split("\n")
    cut = frozenset(filter(repository.has_parents, repository.boundary.intersection(roots)))
    if cut and not shallow:
        raise BadInput(
            f"{path} is a shallow clone, and its oldest commits would seem to have made all files; run"
            " `git fetch --unshallow` there, or leave these commits out with --shallow",
            "source",
        )
    total = int(repository.ask("rev-list", "--count", repository.head))
    return History(total - len(cut), len(cut), _events(repository, repository.head, cut))


def file_id(path: str) -> str:
    """The aggregate id of a file: its path, or of a path too long for an id a hash that no path can be."""
    return path if len(path) <= MOST_ID else f"sha256://{hashlib.sha256(path.encode()).hexdigest()}"


def _events(repository: Repository, head: str, cut: frozenset[str]) -> Iterator[EventMessage]:
    line = ("rev-list", "--first-parent", "--reverse", head)
    with (
        repository.stream(*ARGUMENTS, head) as log,
        repository.stream(*line) as mainline,
        repository.sizes() as sizes,
    ):
        # both are in an order in which parents come first, so the line is met in its own order
        awaited = tokens(mainline, b"\n")
        next_on_line = next(awaited, b"")
        for commit in commits(tokens(log, b"\0")):
            is_on_line = commit.hash.encode() == next_on_line
            if is_on_line:
                next_on_line = next(awaited, b"")
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
    """What the file is after the change."""
    if change.status == "D":
        return {}
    origin = {"R": "renamedFrom", "C": "copiedFrom"}.get(change.status, "")
    state = {"kind": change.kind, "mode": change.mode, "blob": change.blob, "size": size, origin: change.source}
    return _without_none(state)


def _measure(change: Change) -> dict[str, Any]:
    """How much the change did."""
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
