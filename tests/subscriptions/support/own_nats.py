"""A NATS of a test's own, and the messages in its stream."""

import signal
import subprocess
from pathlib import Path

from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg

from eventscope.dev.servers import Nats, ready
from eventscope.processes.guard import guard_command
from eventscope.processes.ports import free
from tests.support.killable_servers import freeze


class OwnNats:
    """A NATS that the test may kill and freeze."""

    def __init__(self, folder: Path) -> None:
        self.nats = Nats(folder, free())
        self.process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Its address."""
        return self.nats.url

    async def start(self) -> None:
        """Start it, and wait until it is ready."""
        self.launch()
        await ready(self.nats, lambda: self.process.poll() is None)

    def launch(self) -> None:
        """Start it."""
        self.process = subprocess.Popen(
            guard_command(self.nats.command()), stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def kill(self) -> None:
        """Kill it, as a crash would."""
        with self.process:
            self.process.kill()

    def freeze(self) -> None:
        """Suspend it, with all connections open."""
        freeze(self.process.pid)

    def thaw(self) -> None:
        """Let it continue."""
        self.process.send_signal(signal.SIGCONT)


async def stored(js: JetStreamContext, stream: str) -> list[RawStreamMsg]:
    """Everything in the stream, in stream order."""
    state = (await js.stream_info(stream)).state
    return [await js.get_msg(stream, sequence) for sequence in range(state.first_seq, state.last_seq + 1)]
