"""The metrics of several workers, told by whichever of them is asked: Prometheus sees one address, and all of them.

Each worker tells its own on a Unix socket in a folder that they share, and so does their keeper. Samples get the label
`worker`; how the log is found is the same for all, and told once. There the keeper asks whether a worker answers, too.
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

from eventscope.metrics.side_server import answering

ASK_SECONDS: Final = 2.0
SAME: Final = "eventscope_log_"


@dataclass(frozen=True, slots=True)
class Siblings:
    """The workers that share a folder, seen by the one of this name, which is a number but for their keeper."""

    folder: Path
    name: str

    @property
    def socket(self) -> Path:
        """Where this one tells."""
        return self.folder / self.name

    @asynccontextmanager
    async def telling(self, *routes: Route) -> AsyncIterator[None]:
        """Tell the others our metrics for the length of the block."""
        path = self.socket
        path.unlink(missing_ok=True)  # of one that was killed
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(path))
            listener.listen()
            async with answering(listener, routes):
                yield

    async def together(self, own: CollectorRegistry) -> CollectorRegistry:
        """Our metrics and those of all others that answer."""
        others = [path for path in sorted(self.folder.iterdir()) if path.name != self.name]
        told = await asyncio.gather(*map(_asked, others))
        texts = {self.name: generate_latest(own).decode()}
        texts |= {path.name: text for path, text in zip(others, told, strict=True) if text is not None}
        merged = CollectorRegistry()
        merged.register(_Merged(texts, self.name))
        return merged


@dataclass(frozen=True, slots=True, eq=False)  # registries know collectors by identity
class _Merged:
    texts: dict[str, str]
    own: str

    def collect(self) -> Iterator[Metric]:
        """Each metric once, with the samples of all workers."""
        found: dict[str, Metric] = {}
        for worker, text in sorted(self.texts.items()):
            for family in text_string_to_metric_families(text):
                same = family.name.startswith(SAME)
                if same and worker != self.own:
                    continue
                metric = found.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    labels = sample.labels if same else {**sample.labels, "worker": worker}
                    metric.samples.append(sample._replace(labels=labels))
        yield from found.values()


async def _asked(path: Path) -> str | None:
    """What a sibling tells; None when it is away."""
    import httpx  # only workers need it, and it takes long to load

    with suppress(httpx.HTTPError):
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        async with httpx.AsyncClient(transport=transport, timeout=ASK_SECONDS, trust_env=False) as client:
            answer = await client.get("http://worker/metrics")
            return answer.text if answer.is_success else None
    return None
