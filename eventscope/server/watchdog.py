"""Kills workers that are alive but stuck and do not answer; the supervisor then replaces them.

Each worker is probed at the Unix socket where it publishes its metrics: at the shared port, the system chooses the
worker that answers.
"""

import asyncio
import logging
from contextlib import suppress
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from eventscope.processes.supervisor import Supervisor
from eventscope.server.patience import Patience

PROBE_SECONDS: Final = 1.0  # between two probes
ANSWER_SECONDS: Final = 1.0
PROBE: Final = b"GET /healthz HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n"

logger = logging.getLogger(__name__)


class Watchdog:
    """Watches workers. `sockets` maps their names in the supervisor to their sockets; `seconds` is our patience."""

    def __init__(self, supervisor: Supervisor, sockets: dict[str, Path], seconds: float) -> None:
        self.registry = CollectorRegistry()
        self._replacements = Counter(
            "eventscope_workers_replaced",
            "Workers that were killed because they did not answer, by `name`.",
            ["name"],
            registry=self.registry,
        )
        self._answering_workers = Gauge(
            "eventscope_workers_answering", "Workers that answered the last probe.", registry=self.registry
        )
        self._supervisor = supervisor
        self._sockets = sockets
        self._seconds = seconds
        self._patience: dict[tuple[str, int], Patience] = {}

    async def run(self) -> None:
        """Watch the workers, for ever."""
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + PROBE_SECONDS
            await asyncio.sleep(PROBE_SECONDS)
            late = max(0.0, clock() - due)
            # read before the probes, so that we judge the process that was probed even if it is replaced meanwhile
            pids = self._supervisor.pids
            answers = await asyncio.gather(*map(_answers, self._sockets.values()))
            now = clock()
            # the probes have a time limit: if they took longer, then so did everything on this machine
            late = max(late, now - due - 2 * ANSWER_SECONDS)
            processes = [(name, pids[name]) for name in self._sockets if name in pids]
            # by process and not by worker: a new process starts with new patience
            self._patience = {one: self._patience.get(one) or Patience(self._seconds, now) for one in processes}
            self._answering_workers.set(sum(answers))
            for name, has_answered in zip(self._sockets, answers, strict=True):
                if name in pids:
                    self._judge(name, self._patience[name, pids[name]], now, late, has_answered=has_answered)

    def _judge(self, name: str, patience: Patience, now: float, late: float, *, has_answered: bool) -> None:
        if has_answered:
            patience.hear(now)
            return
        patience.miss(now, late)
        if patience.is_over(now):
            logger.error("%s has not answered for %.0f s: killing and restarting it", name, now - patience.since)
            self._replacements.labels(name).inc()
            patience.since = now  # the process may take a moment to die
            self._supervisor.kill(name)


async def _answers(path: Path) -> bool:
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                writer.write(PROBE)
                return (await reader.readline()).startswith(b"HTTP/1.1 200")
            finally:
                writer.close()
    return False
