"""A git repository that a test builds, and the events of its history."""

import os
import subprocess
from pathlib import Path
from typing import Any

from eventscope.importers import git_history
from eventscope.importers.git_log import path_text

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


def remaining_files(events: list[Event]) -> set[str]:
    """The files whose last event is not a deletion."""
    last = {event["aggregateId"]: event["type"] for event in events if event["aggregateType"] == "file"}
    return {id for id, type in last.items() if not type.endswith(".deleted")}


def events_of(events: list[Event], hash: str) -> list[Event]:
    return [event for event in events if event["correlationId"] == hash]
