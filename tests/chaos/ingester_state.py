"""The state of an ingester of a chaos run, as its health and metrics endpoints report it."""

from collections.abc import Mapping
from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families

from eventscope.processes.ports import HOST

SECONDS = 10.0  # /metrics reads from both servers first, and each read has a time limit


@dataclass(frozen=True, slots=True)
class IngesterState:
    """The answers to `/readyz` and `/metrics`: `samples` by name, and `errors` counted by kind."""

    ready: bool
    reason: str
    samples: Mapping[str, float]
    errors: Mapping[str, float]

    @property
    def failures(self) -> float:
        """How often an error interrupted it."""
        return sum(self.errors.values())


async def read_state(port: int) -> IngesterState | None:
    """The current state of the ingester at that port; None while it does not listen."""
    try:
        async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}", timeout=SECONDS) as http:
            ready = await http.get("/readyz")
            text = (await http.get("/metrics")).text
    except httpx.TransportError:
        return None
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return IngesterState(
        ready=ready.status_code == 200,
        reason=" ".join(ready.json().get("reasons", [])),
        samples={sample.name.removeprefix("eventscope_"): sample.value for sample in samples if not sample.labels},
        errors={one.labels["kind"]: one.value for one in samples if one.name == "eventscope_ingest_errors_total"},
    )
