"""Runs git on a repository, as a stream and without a shell, with output that no local settings change."""

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
# set by a calling git, as in a hook: they would point to another repository
FOREIGN: Final = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_SHALLOW_FILE",
)
# attributes, replaced objects and grafts of this machine must not change the output
SETTINGS: Final = {
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository: its git folder and its current commit; `head` is None before the first commit.

    `boundary` lists the oldest commits of a shallow clone, whose parents, if any, it lacks.
    """

    folder: Path
    branch: str | None
    head: str | None
    boundary: frozenset[str] = frozenset()

    def command(self, *arguments: str) -> list[str]:
        """The command line for git, without a working tree, whose attributes would change line counts."""
        quiet = ("-c", "core.attributesFile=/dev/null", "-c", "advice.graftFileDeprecated=false")
        return ["git", f"--git-dir={self.folder}", "--bare", *quiet, *arguments]

    def run(self, *arguments: str) -> str:
        """The output of git, as text without its last newline. BadInput when git fails."""
        return _run(self.command(*arguments), self.folder)

    def has_parents(self, commit: str) -> bool:
        """Whether the commit has parents, in this repository or not."""
        return "\nparent " in self.run("cat-file", "commit", commit).partition("\n\n")[0]

    @contextmanager
    def stream(self, *arguments: str) -> Iterator[IO[bytes]]:
        """The output as a stream. BadInput when git fails, or the block raises EOFError for output that was cut off."""
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                self.command(*arguments),
                cwd=self.folder,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
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
                errors.seek(0)
                raise BadInput(f"git failed: {_last_line(errors.read()) or 'its output is cut off'}", "source")

    @contextmanager
    def sizes(self) -> Iterator["Sizes"]:
        """A running git that returns the sizes of any number of blobs."""
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

    CHUNK: Final = 500  # this many requests and responses fit into their pipes, so that neither side blocks the other

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._requests = process.stdin
        self._responses = process.stdout

    def of(self, blobs: list[str]) -> dict[str, int]:
        """The sizes of these blobs, without those that the repository lacks, as in a partial clone."""
        sizes: dict[str, int] = {}
        for start in range(0, len(blobs), self.CHUNK):
            chunk = blobs[start : start + self.CHUNK]
            self._requests.write("".join(f"{blob}\n" for blob in chunk).encode())
            self._requests.flush()
            for blob in chunk:
                response = self._responses.readline().strip()
                if response.isdigit():
                    sizes[blob] = int(response)
        return sizes


def open_repository(path: str) -> Repository:
    """The repository at this path, or the one that contains it. BadInput when there is none."""
    if not Path(path).is_dir():
        raise BadInput(f"{path} is not a folder, so it is not a git repository", "source")
    try:
        folder = _run(["git", "-C", path, "rev-parse", "--absolute-git-dir"], None)
    except BadInput as error:
        raise BadInput(f"{path} is not a git repository that can be read ({error})", "source") from None
    empty = Repository(Path(folder), None, None)
    return Repository(
        empty.folder,
        boundary=_boundary(empty),
        branch=_or_none(empty, "symbolic-ref", "--quiet", "--short", "HEAD"),
        head=_or_none(empty, "rev-parse", "--quiet", "--verify", "HEAD^{commit}"),
    )


def tokens(stream: IO[bytes], end: bytes) -> Iterator[bytes]:
    """The parts of a stream that end with `end`."""
    rest = b""
    while chunk := stream.read(CHUNK):
        *whole, rest = (rest + chunk).split(end)
        yield from whole


def _boundary(repository: Repository) -> frozenset[str]:
    if repository.run("rev-parse", "--is-shallow-repository") != "true":
        return frozenset()
    return frozenset((repository.folder / repository.run("rev-parse", "--git-path", "shallow")).read_text().split())


def _or_none(repository: Repository, *arguments: str) -> str | None:
    try:
        return repository.run(*arguments) or None
    except BadInput:
        return None


def _run(command: list[str], folder: Path | None) -> str:
    try:
        process = subprocess.run(command, cwd=folder, env=_environment(), stdin=subprocess.DEVNULL, capture_output=True)
    except FileNotFoundError:
        raise CannotStart("git was not found on this machine; install it to import a repository") from None
    if process.returncode:
        raise BadInput(_last_line(process.stderr) or f"git ended with exit code {process.returncode}")
    return os.fsdecode(process.stdout).removesuffix("\n")


def _environment() -> dict[str, str]:
    return {name: text for name, text in os.environ.items() if name not in FOREIGN} | SETTINGS


def _last_line(stderr: bytes) -> str:
    lines = stderr.decode(errors="replace").split("\n")
    return next((line.strip() for line in lines if line.startswith("fatal:")), " ".join(lines).strip())
