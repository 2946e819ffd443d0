"""Metrics as a whole: the document lists them all, and two sets of metrics in one process share nothing."""

import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from eventscope.metrics.api import ApiMetrics
from eventscope.metrics.ingest import IngestMetrics
from eventscope.processes.supervisor import Supervisor
from eventscope.server.watchdog import Watchdog

ROOT = Path(__file__).parents[2]


DOCUMENT = ROOT / "docs" / "operating.md"


def test_two_processes_in_one_share_nothing() -> None:
    one, other = ApiMetrics(), ApiMetrics()
    one.on_delivery()
    assert one.registry.get_sample_value("eventscope_delivered_events_total") == 1
    assert other.registry.get_sample_value("eventscope_delivered_events_total") == 0


# docs/operating.md


def test_the_docs_list_every_metric_with_its_kind_and_meaning() -> None:
    rows = re.findall(r"^\| `(eventscope_\w+)` \| (\w+) \| (.+) \|$", DOCUMENT.read_text(), re.MULTILINE)
    keeper = Watchdog(Supervisor(), {}, 1.0).registry
    assert sorted(rows) == sorted(
        reported(IngestMetrics().registry) | reported(ApiMetrics().registry) | reported(keeper)
    )


def test_no_document_names_a_missing_metric() -> None:
    registries = [IngestMetrics().registry, ApiMetrics().registry, Watchdog(Supervisor(), {}, 1.0).registry]
    there = {name for registry in registries for name, _, _ in reported(registry)}
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    named = {(page.name, name) for page in pages for name in re.findall(r"\beventscope_[a-z_]+", page.read_text())}
    assert {one for one in named if one[1] not in there} == set()


def reported(registry: CollectorRegistry) -> set[tuple[str, str, str]]:
    """Name, kind and meaning of all metrics that Eventscope itself reports."""
    suffix = {"counter": "_total", "info": "_info"}
    families = [family for family in registry.collect() if family.name.startswith("eventscope")]
    return {(one.name + suffix.get(one.type, ""), one.type, one.documentation) for one in families}
