"""`eventscope rejected` as people run it, and rejected messages for it."""

import asyncio
import os
import sys
from dataclasses import dataclass
from typing import Any

import orjson
from nats.aio.client import Client

from eventscope.settings import PREFIX, Settings
from eventscope.store.events import pages
from eventscope.store.log import Log
from eventscope.store.rejected import messages as rejected
from tests.support.until import until

OF_42 = orjson.dumps({"aggregateType": "user", "aggregateId": "42"})


@dataclass(frozen=True, slots=True)
class Done:
    """What a command printed, and how it ended."""

    code: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines that it printed."""
        return self.out.decode().splitlines()


@dataclass(frozen=True, slots=True)
class Shell:
    """Runs the commands, on the servers of the test."""

    settings: Settings

    async def __call__(self, *arguments: str, given: bytes = b"", nats: bool = True) -> Done:
        """Run one, with these bytes on its standard input; without `nats` it has no address of NATS."""
        names = ("mongo_url", "mongo_database", "stream", *(["nats_url"] if nats else []))
        ours = {f"{PREFIX}{name.upper()}": str(getattr(self.settings, name)) for name in names}
        theirs = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "eventscope", "rejected", *arguments),
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=theirs | ours,
        )
        out, err = await process.communicate(given)
        assert process.returncode is not None
        assert b"Traceback" not in err, err.decode()
        return Done(process.returncode, out, err.decode())


async def has_rejected(log: Log, n: int) -> bool:
    """Whether there are this many rejected messages."""
    return len(await rejected.numbers(log)) == n


def rejected_row(subject: str, code: str = "INVALID_JSON") -> dict[str, Any]:
    """A rejected message as MongoDB has it, without the ingester that would have rejected it."""
    source = {"stream": "EVENTS", "created": "", "sequence": 1}
    kept = {"_id": 1, "code": code, "reason": "", "subject": subject, "headers": {}, "raw": b"{}", "recordedAt": 0}
    return kept | {"source": source}


async def mend(log: Log, client: Client, prefix: str) -> None:
    """Let user 42 exist, so that what expects it at version 1 can be stored."""
    message = {"aggregateType": "user", "aggregateId": "42", "messageId": "first"}
    await client.jetstream().publish(f"{prefix}.user.created", orjson.dumps(message))
    await until(lambda: pages.event(log, "first"))
