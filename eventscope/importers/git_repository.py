"""Asking git about a repository, as a stream and never through a shell, with answers that no one's settings change."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from eventscope.errors import BadInput, CannotStart

CHUNK: Final = 1 << 16
# of a calling git, say when we run in a hook: they would lead us to another repository
FOREIGN: Final = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_SHALLOW_FILE",
)
# neither attributes, replaced objects nor grafts of this machine may change what a commit says
SETTINGS: Final = {
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository, by the folder that git keeps it in, and its current commit; `head` is None before the first.

    `boundary` are the commits that a shallow clone ends with: it has no parents of them, if they have any.
    """

    folder: Path
    branch: str | None
    head: str | None
    boundary: frozenset[str] = frozenset()

    def command(self, *arguments: str) -> list[str]:
        """The command line that asks git this. Without a working tree: its attributes would change line counts."""
        quiet = ("-c", "core.attributesFile=/dev/null", "-c", "advice.graftFileDeprecated=false")
        return ["git", f"--git-dir={self.folder}", "--bare", *quiet, *arguments]

    def ask(self, *arguments: str) -> str:
        """The answer of git, as text without its last newline."""
        return _ask(self.command(*arguments), self.folder)

    def has_parents(self, commit: str) -> bool:
        """Whether the commit has parents, be they in this repository or not."""
        return "\nparent " in self.ask("cat-file", "commit", commit).partition("\n\n")[0]

    @contextmanager
    def stream(self, *arguments: str) -> Iterator[IO[bytes]]:
        """The answer as it comes. BadInput when git fails, or when the reader says by EOFError that it is cut off."""
        with tempfile.TemporaryFile() as complaints:
            process = subprocess.Popen(
                self.command(*arguments),
                cwd=self.folder,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=complaints,
            )
            assert process.stdout is not None
            with process:
                cut_off = False
                try:
                    yield process.stdout
                except EOFError:
                    cut_off = True
                except BaseException:
                    process.kill()
                    raise
            if process.returncode or cut_off:
                complaints.seek(0)
                raise BadInput(f"git failed: {_last_line(complaints.read()) or 'its answer is cut off'}", "source")

    @contextmanager
    def sizes(self) -> Iterator["Sizes"]:
        """Asks for the sizes of blobs, as many as you like."""
        process = subprocess.Popen(
            self.command("cat-file", "--batch-check=%(objectsize)"),
            cwd=self.folder,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        with process:
            yield Sizes(process)


class Sizes:
    """Sizes of blobs in bytes."""

    AT_ONCE: Final = 500  # questions and answers that fit into their pipes, so that nobody waits for the other

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._questions = process.stdin
        self._answers = process.stdout

    def of(self, blobs: list[str]) -> dict[str, int]:
        """The sizes of these; those that the repository does not hold are missing, as in a partial clone."""
        found: dict[str, int] = {}
        for start in range(0, len(blobs), self.AT_ONCE):
            asked = blobs[start : start + self.AT_ONCE]
            self._questions.write("".join(f"{blob}\n" for blob in asked).encode())
            self._questions.flush()
            for blob in asked:
                answer = self._answers.readline().strip()
                if answer.isdigit():
                    found[blob] = int(answer)
        return found


def open_repository(path: str) -> Repository:
    """The repository that this path is or lies in. BadInput when there is none."""
    if not Path(path).is_dir():
        raise BadInput(f"{path} is no folder, so it is no git repository", "source")
    try:
        folder = _ask(["git", "-C", path, "rev-parse", "--absolute-git-dir"], None)
    except BadInput as error:
        raise BadInput(f"{path} is not a git repository that can be read ({error})", "source") from None
    nameless = Repository(Path(folder), None, None)
    return Repository(
        nameless.folder,
        boundary=_boundary(nameless),
        branch=_or_none(nameless, "symbolic-ref", "--quiet", "--short", "HEAD"),
        head=_or_none(nameless, "rev-parse", "--quiet", "--verify", "HEAD^{commit}"),
    )


def tokens(stream: IO[bytes], end: bytes) -> Iterator[bytes]:
    """What stands before each `end` in a stream."""
    rest = b""
    while chunk := stream.read(CHUNK):
        *whole, rest = (rest + chunk).split(end)
        yield from whole


def _boundary(repository: Repository) -> frozenset[str]:
    if repository.ask("rev-parse", "--is-shallow-repository") != "true":
        return frozenset()
    return frozenset((repository.folder / repository.ask("rev-parse", "--git-path", "shallow")).read_text().split())


def _or_none(repository: Repository, *arguments: str) -> str | None:
    try:
        return repository.ask(*arguments) or None
    except BadInput:
        return None


def _ask(command: list[str], folder: Path | None) -> str:
    try:
        done = subprocess.run(command, cwd=folder, env=_environment(), stdin=subprocess.DEVNULL, capture_output=True)
    except FileNotFoundError:
        raise CannotStart("git was not found on this machine; install it to import a repository") from None
    if done.returncode:
        raise BadInput(_last_line(done.stderr) or f"git ended with {done.returncode}")
    return os.fsdecode(done.stdout).removesuffix("\n")


def _environment() -> dict[str, str]:
    return {name: text for name, text in os.environ.items() if name not in FOREIGN} | SETTINGS


def _last_line(complaint: bytes) -> str:
    lines = complaint.decode(errors="replace").split("\n")
    return next((line.strip() for line in lines if line.startswith("fatal:")), " ".join(lines).strip())
