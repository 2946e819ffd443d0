"""The metrics of several workers, merged by whichever of them gets the request: Prometheus sees one address.

Each worker, and their keeper, publishes its own metrics on a Unix socket in a folder that they share. Samples get the
label `worker`; metrics of the log are the same in all processes and appear once. The keeper also probes workers there.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from starlette.routing import Route

from eventscope.metrics.side_server import serve_on

FETCH_SECONDS: Final = 2.0
COMMON: Final = "eventscope_log_"  # prefix of the metrics that are the same in all processes


@dataclass(frozen=True, slots=True)
class SiblingMetrics:
    """The metrics of the processes that share a folder; `name` is a worker's number, or "keeper"."""

    folder: Path
    name: str

    @property
    def socket(self) -> Path:
        """Where this process publishes."""
        return self.folder / self.name

    @asynccontextmanager
    async def publish(self, *routes: Route) -> AsyncIterator[None]:
        """Serve these routes to the other processes for the length of the block."""
        path = self.socket
        path.unlink(missing_ok=True)  # left by a killed process
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(path))
            listener.listen()
            async with serve_on(listener, routes):
                yield

    async def merge(self, own: CollectorRegistry) -> CollectorRegistry:
        """Our own metrics and those of all others that answer."""
        others = [path for path in sorted(self.folder.iterdir()) if path.name != self.name]
        answers = await asyncio.gather(*map(_fetch, others))
        texts = {self.name: generate_latest(own).decode()}
        texts |= {path.name: text for path, text in zip(others, answers, strict=True) if text is not None}
        registry = CollectorRegistry()
        registry.register(_MergedMetrics(texts, self.name))
        return registry


@dataclass(frozen=True, slots=True, eq=False)  # registries distinguish collectors by identity
class _MergedMetrics:
    texts: dict[str, str]
    own: str

    def collect(self) -> Iterator[Metric]:
        """Each metric once, with the samples of all processes."""
        metrics: dict[str, Metric] = {}
        for worker, text in sorted(self.texts.items()):
            for family in text_string_to_metric_families(text):
                is_common = family.name.startswith(COMMON)
                if is_common and worker != self.own:
                    continue
                metric = metrics.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    labels = sample.labels if is_common else {**sample.labels, "worker": worker}
                    metric.samples.append(sample._replace(labels=labels))
        yield from metrics.values()


async def _fetch(path: Path) -> str | None:
    """The metrics of another process; None if it does not answer."""
    import httpx  # only workers need it, and it takes long to load

    with suppress(httpx.HTTPError):
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        async with httpx.AsyncClient(transport=transport, timeout=FETCH_SECONDS, trust_env=False) as client:
            answer = await client.get("http://worker/metrics")
            return answer.text if answer.is_success else None
    return None
