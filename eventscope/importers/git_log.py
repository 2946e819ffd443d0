"""Parses the output of `git log`: commits with the files that each changed. No I/O."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote_from_bytes

# a commit begins with a byte that no hash, mode or count begins with; then the fields in this order
MARK: Final = b"\x01"
FIELDS: Final = ("%H", "%P", "%an", "%ae", "%at", "%cn", "%ce", "%ct", "%s")

# Each commit is compared with its first parent, the root with nothing. Options fix what git's settings could change.
ARGUMENTS: Final = (
    "log",
    "-z",
    "--topo-order",
    "--reverse",
    "--root",
    "--diff-merges=first-parent",
    "--raw",
    "--numstat",
    "--no-abbrev",
    "--find-renames=50%",
    "--find-copies=50%",
    "-l1000",
    "-O/dev/null",
    "--diff-algorithm=myers",
    "--ignore-submodules=none",
    "--no-relative",
    "--no-ext-diff",
    "--no-textconv",
    "--no-show-signature",
    "--no-notes",
    "--no-color",
    "--encoding=UTF-8",
    f"--format=tformat:%x01{'%x00'.join(FIELDS)}",
)

SUBMODULE: Final = "160000"
KINDS: Final = {"100755": "executable", "120000": "symlink", SUBMODULE: "submodule"}


@dataclass(frozen=True, slots=True)
class Person:
    """The author or committer of a commit; `time` is in seconds since 1970."""

    name: str
    email: str
    time: int


@dataclass(frozen=True, slots=True)
class Change:
    """A change to one file. `status` is git's letter: added, copied, deleted, modified, renamed, type changed.

    `lines` are the numbers of lines added and removed, None for a binary file.
    """

    status: str
    path: str
    source: str | None
    similarity: int | None
    old_mode: str
    mode: str
    blob: str
    lines: tuple[int, int] | None

    @property
    def kind(self) -> str:
        """file, executable, symlink or submodule."""
        return KINDS.get(self.mode, "file")


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit and its changes against its first parent."""

    hash: str
    parents: tuple[str, ...]
    author: Person
    committer: Person
    subject: str
    changes: tuple[Change, ...]


def commits(tokens: Iterator[bytes]) -> Iterator[Commit]:
    """The commits in the output of `git log` with ARGUMENTS, split at its NULs; EOFError if it is cut off."""
    token = next(tokens, None)
    while token is not None:
        head = [token.removeprefix(MARK), *(_next(tokens) for _ in FIELDS[1:])]
        raw: list[tuple[list[str], list[bytes]]] = []
        counted: dict[bytes, tuple[int, int] | None] = {}
        while (token := next(tokens, None)) is not None and not token.startswith(MARK):
            if token.lstrip(b"\n").startswith(b":"):
                columns = token.lstrip(b"\n:").decode().split(" ")
                raw.append((columns, [_next(tokens) for _ in range(2 if columns[4][0] in "CR" else 1)]))
            else:
                added, removed, path = token.lstrip(b"\n").split(b"\t", 2)
                if not path:  # a copied or renamed file: both paths follow
                    _next(tokens)
                    path = _next(tokens)
                counted[path] = None if added == b"-" else (int(added), int(removed))
        yield _commit(head, tuple(_change(columns, paths, counted) for columns, paths in raw))


def path_text(path: bytes) -> str:
    """A path as text; one that is not UTF-8 as `bytes://caf%E9`, never a path itself, as no path contains `//`."""
    try:
        return path.decode()
    except UnicodeDecodeError:
        return f"bytes://{quote_from_bytes(path)}"


def _next(tokens: Iterator[bytes]) -> bytes:
    token = next(tokens, None)
    if token is None:
        raise EOFError
    return token


def _commit(head: list[bytes], changes: tuple[Change, ...]) -> Commit:
    fields = [field.decode(errors="replace") for field in head]
    return Commit(
        hash=fields[0],
        parents=tuple(fields[1].split()),
        author=Person(fields[2], fields[3], int(fields[4] or 0)),
        committer=Person(fields[5], fields[6], int(fields[7] or 0)),
        subject=fields[8],
        changes=changes,
    )


def _change(columns: list[str], paths: list[bytes], counted: dict[bytes, tuple[int, int] | None]) -> Change:
    old_mode, mode, old_blob, blob, status = columns
    return Change(
        status=status[0],
        path=path_text(paths[-1]),
        source=path_text(paths[0]) if len(paths) > 1 else None,
        similarity=int(status[1:]) if len(paths) > 1 else None,
        old_mode=old_mode,
        mode=mode,
        blob=old_blob if status == "D" else blob,
        lines=counted.get(paths[-1]),
    )
