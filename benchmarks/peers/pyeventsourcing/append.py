"""Saves the events of a file (JSON lines) with pyeventsourcing, and prints events per second as JSON.

    python append.py FILE one|batch sqlite|postgres       (and its settings in the environment)

`one`: a save for each event. `batch`: a save for 500 events, of however many aggregates. A SQLite file is in WAL mode
with synchronous FULL, and PostgreSQL has its default settings: a save that has returned is on disk. This runs in a
virtual environment of its own.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

# none of these is among our requirements
from eventsourcing.application import Application  # type: ignore[import-not-found]
from eventsourcing.domain import Aggregate, event  # type: ignore[import-not-found]

BATCH = 500


class Thing(Aggregate):  # type: ignore[misc]  # its types are not known here
    """A user or a vendor."""

    @event("Changed")  # type: ignore[untyped-decorator]  # the same
    def change(
        self, id: str, type: str, user: str, correlation: str, data: dict[str, Any], metadata: dict[str, Any]
    ) -> None:
        """Something happens to it."""


def main(file: str, how: str, where: str) -> None:
    """Save all events, and print the rate."""
    messages = [json.loads(line) for line in Path(file).read_bytes().splitlines()]
    app = Application(env={"PERSISTENCE_MODULE": f"eventsourcing.{where}"})
    # created beforehand and kept in memory, so that only the events and their saves are timed
    things = {(one["aggregateType"], one["aggregateId"]): Thing() for one in messages}
    app.save(*things.values())
    size = BATCH if how == "batch" else 1
    start = time.perf_counter()
    for first in range(0, len(messages), size):
        changed = dict[int, Any]()
        for one in messages[first : first + size]:
            thing = things[one["aggregateType"], one["aggregateId"]]
            thing.change(
                one["messageId"], one["type"], one["userId"], one["correlationId"], one["data"], one["metadata"]
            )
            changed[id(thing)] = thing
        app.save(*changed.values())
    print(json.dumps({"rate": len(messages) / (time.perf_counter() - start)}))
    app.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
