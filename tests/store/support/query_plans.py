"""How MongoDB finds what the store reads, as MongoDB itself explains it."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final, cast

from eventscope.store.events import pages
from eventscope.store.filters.filter import Filter
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Document
from tests.store.support.command_listener import Commands

PAGE: Final = 50


class Explainer:
    """A log whose commands are recorded, and explained by MongoDB."""

    def __init__(self, runner: asyncio.Runner, log: Log, ear: Commands) -> None:
        self.log = log
        self._runner = runner
        self._ear = ear

    def run(self, question: Any) -> Any:
        async def asked() -> Any:
            return await question

        return self._runner.run(asked())

    def heard(self, question: Any) -> list[Document]:
        """The commands that the read sends."""
        self._ear.heard.clear()
        self.run(question)
        return list(self._ear.heard)

    def explained(self, command: Document) -> Document:
        """How MongoDB answers the command."""
        explain = {"explain": command, "verbosity": "executionStats"}
        return cast("Document", self.run(self.log.mongo.database.command(explain)))

    def page(self, filter: Filter, **more: Any) -> "QueryPlan":
        """How MongoDB finds a page of events."""
        self._ear.heard.clear()
        found = self.run(pages.page(self.log, filter, limit=PAGE, **more))
        plans = [self.explained(command) for command in list(self._ear.heard) if _is_page(command)]
        return QueryPlan(len(found.events), plans)


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """What MongoDB did to find this many events."""

    returned: int
    plans: list[Document]

    @property
    def examined(self) -> int:
        """How many documents were examined."""
        return sum(plan["executionStats"]["totalDocsExamined"] for plan in self.plans)

    @property
    def stages(self) -> set[str]:
        """The names of the stages."""
        return set[str]().union(*map(names, self.plans))


def _is_page(command: Document) -> bool:
    # before a log is scanned, its first position is read
    return command.get("find") == "events" and command["filter"] != {"_id": {"$gt": 0}}


def stages(plan: Any) -> list[Document]:
    """All stages of the winning plan, wherever they are in the explanation."""
    if isinstance(plan, list):
        return [stage for part in plan for stage in stages(part)]
    if not isinstance(plan, dict):
        return []
    below = [stage for key, part in plan.items() if key != "rejectedPlans" for stage in stages(part)]
    return [plan, *below] if "stage" in plan else below


def names(explanation: Document) -> set[str]:
    return {stage["stage"] for stage in stages(explanation)}
