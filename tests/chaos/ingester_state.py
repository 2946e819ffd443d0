"""What an ingester of a chaos run says of itself at its port, as those hear it who watch over it."""

from collections.abc import Mapping
from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families

from eventscope.processes.ports import HOST

SECONDS = 10.0  # metrics are looked up in both servers first, and each look is bounded


@dataclass(frozen=True, slots=True)
class Said:
    """Its answers to `/readyz` and `/metrics`: `samples` by name, counters of errors by kind as `errors`."""

    ready: bool
    reason: str
    samples: Mapping[str, float]
    errors: Mapping[str, float]

    @property
    def failures(self) -> float:
        """How often it gave up for a moment."""
        return sum(self.errors.values())


async def said(port: int) -> Said | None:
    """What it says now; None while it does not listen."""
    try:
        async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}", timeout=SECONDS) as http:
            ready = await http.get("/readyz")
            text = (await http.get("/metrics")).text
    except httpx.TransportError:
        return None
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return Said(
        ready=ready.status_code == 200,
        reason=" ".join(ready.json().get("reasons", [])),
        samples={sample.name.removeprefix("eventscope_"): sample.value for sample in samples if not sample.labels},
        errors={one.labels["kind"]: one.value for one in samples if one.name == "eventscope_ingest_errors_total"},
    )
