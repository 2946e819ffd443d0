"""Arguments for queries on a log that `make_events` filled: ids, times and values from around its middle."""

from collections.abc import Iterable
from typing import Any, Final

from pymongo import ASCENDING, DESCENDING
from pymongo.collection import Collection
from pymongo.database import Database

from eventscope.store.filters.filter import Holds
from eventscope.store.filters.paths import Compares, Equals, Path, Reads
from eventscope.store.values.moment import HOUR, MINUTE, hour_of
from tests.store.support.filter_shapes import Samples

INDEXED: Final = ("data.email", "data.connectionId", "data.menu.item")
EMAIL, CONNECTION = Path("data", ("email",)), Path("data", ("connectionId",))
NEAR: Final = 2000  # events among which every sample is found

Document = dict[str, Any]


def samples(database: Database[Document]) -> Samples:
    """Samples that occur in this log."""
    events = database["events"]
    newest = head(events)
    near = list(events.find({"_id": {"$gte": newest // 2}}).sort("_id", ASCENDING).limit(NEAR))
    by_users = [one for one in near if one["type"].startswith("user.") and "causationId" in one]
    updated = next(one for one in by_users if one["type"] == "user.updated" and one["version"] > 1)
    rest = [updated, *by_users]
    created = next(one for one in near if "email" in one["data"])
    email = created["data"]["email"]
    connections = [one["data"]["connectionId"] for one in near if one["type"] == "websocket.user.connected"]
    menu = next(one["data"]["menu"] for one in near if "menu" in one["data"])
    moved = next(one for one in near if "location" in one["data"])
    every = max(newest // 30, 1)
    ids = [one["messageId"] for one in events.find({"_id": {"$in": list(range(every, newest + 1, every))}}).sort("_id")]
    first_user, second_user = _some((one["userId"] for one in rest), 2)
    first_conversation, second_conversation = _some((one["correlationId"] for one in rest), 2)
    first_cause, second_cause = _some((one["causationId"] for one in rest), 2)
    return Samples(
        middle=(hour := hour_of(updated["timestamp"])),
        within=hour + HOUR // 2 + MINUTE // 2,
        busiest=_busiest(database["rollups"]),
        cursor=updated["_id"],
        ids=tuple(ids),
        aggregate_ids=_some((one["aggregateId"] for one in rest), 3),
        versions=(updated["version"] - 1, updated["version"] + 1),
        users=(first_user, second_user),
        correlations=(first_conversation, second_conversation),
        causations=(first_cause, second_cause),
        indexed=Holds(EMAIL, (Equals((email,)),)),
        indexed_several=Holds(CONNECTION, (Equals(_some(connections, 3)),)),
        indexed_list=Holds(Path("data", ("menu", "item")), (Equals((menu[0]["item"],)),)),
        indexed_range=Holds(EMAIL, (Compares("gte", email[0]), Compares("lt", email[:2]))),
        indexed_start=Holds(EMAIL, (Reads("startsWith", email[:4]),)),
        free=Holds(Path("data", ("pitch",)), (Equals(("nowhere",)),)),
        free_object=Holds(Path("data", ("location",)), (Equals((moved["data"]["location"],)),)),
    )


def head(events: Collection[Document]) -> int:
    """The newest position."""
    return int(events.find({}, {"_id": 1}).sort("_id", DESCENDING).limit(1)[0]["_id"])


def _busiest(rollups: Collection[Document]) -> int:
    minutes = rollups.find({"_id.minute": {"$exists": True}})
    return max(int(minute["lastPosition"]) - int(minute["firstPosition"]) + 1 for minute in minutes)


def _some(values: Iterable[str], n: int) -> tuple[str, ...]:
    """The first `n` distinct values; ends the program if there are fewer."""
    distinct = tuple(dict.fromkeys(values))[:n]
    if len(distinct) < n:
        raise SystemExit("the log is too small: pass --events 20000 or more")
    return distinct
