"""Looks after workers: one that is there but does not answer, because it is stuck, is killed and so replaced.

Each is asked at the socket where its siblings ask it too, and not at the port, where the system chooses who answers.
"""

import asyncio
import logging
from contextlib import suppress
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter

from eventscope.processes.supervisor import Supervisor
from eventscope.server.patience import Patience

LOOK_SECONDS: Final = 1.0
ASK_SECONDS: Final = 1.0
ASKED: Final = b"GET /healthz HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n"

logger = logging.getLogger(__name__)


class Vigil:
    """Over the workers with these sockets, by the names that the supervisor has for them."""

    def __init__(self, supervisor: Supervisor, sockets: dict[str, Path], seconds: float) -> None:
        self.registry = CollectorRegistry()
        self._replaced = Counter(
            "eventscope_workers_replaced",
            "Workers that were killed because they did not answer, by `name`.",
            ["name"],
            registry=self.registry,
        )
        self._supervisor = supervisor
        self._sockets = sockets
        self._seconds = seconds
        self._patience: dict[tuple[str, int], Patience] = {}

    async def keep(self) -> None:
        """Look after them, for ever."""
        clock = asyncio.get_running_loop().time
        while True:
            wanted = clock() + LOOK_SECONDS
            await asyncio.sleep(LOOK_SECONDS)
            late = max(0.0, clock() - wanted)
            pids = self._supervisor.pids
            answers = await asyncio.gather(*map(_answers, self._sockets.values()))
            now = clock()
            late = max(late, now - wanted - 2 * ASK_SECONDS)
            lives = [(name, pids[name]) for name in self._sockets if name in pids]
            self._patience = {one: self._patience.get(one) or Patience(self._seconds, now) for one in lives}
            for name, answered in zip(self._sockets, answers, strict=True):
                if name in pids:
                    self._judge(name, self._patience[name, pids[name]], now, late, answered=answered)

    def _judge(self, name: str, patience: Patience, now: float, late: float, *, answered: bool) -> None:
        if answered:
            patience.hear(now)
            return
        patience.miss(now, late)
        if patience.is_over(now):
            logger.error("%s has not answered for %.0f s: it is killed, and started again", name, now - patience.since)
            self._replaced.labels(name).inc()
            patience.since = now  # it may take a moment to die
            self._supervisor.kill(name)


async def _answers(path: Path) -> bool:
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(ASK_SECONDS):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                writer.write(ASKED)
                return (await reader.readline()).startswith(b"HTTP/1.1 200")
            finally:
                writer.close()
    return False
