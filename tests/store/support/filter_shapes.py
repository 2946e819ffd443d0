"""The shapes that filters have, whether an index serves each, and how far MongoDB may go to find a page of it.

The tests use them on a small log, `benchmarks.read` on a log of a million events; the samples of a log are the values
that its filters may contain.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from eventscope.store.filters.filter import (
    EVERYTHING,
    All,
    Among,
    Any_,
    Between,
    Exists,
    Filter,
    Holds,
    Ids,
    Not,
    TypePatterns,
)
from eventscope.store.filters.paths import Equals, Path
from eventscope.store.search_limits import SearchLimits
from eventscope.store.values.moment import HOUR
from tests.store.support.query_plans import QueryPlan

Kind = Literal["in order", "cut", "sorted", "free"]

MOST: Final = 3  # documents examined for each one returned, where an index serves
OLDEST: Final = "the oldest"
EXAMINED_AGAIN: Final = 2  # times in a window: a plan of several stages may examine each document once more


@dataclass(frozen=True, slots=True)
class Samples:
    """Values that a log has. The conditions are on paths; those in `indexed` have an index."""

    middle: int  # on the hour
    within: int  # a moment in the hour that begins there
    busiest: int  # events at most in one minute
    cursor: int
    ids: tuple[str, ...]
    aggregate_ids: tuple[str, ...]  # of users
    versions: tuple[int, int]
    users: tuple[str, str]
    correlations: tuple[str, str]
    causations: tuple[str, str]
    indexed: Holds
    indexed_several: Holds
    indexed_list: Holds
    indexed_range: Holds
    indexed_start: Holds
    free: Holds
    free_object: Holds

    @property
    def ten_hours(self) -> Between:
        """Ten full hours from the middle of the log."""
        return Between("timestamp", self.middle, self.middle + 10 * HOUR - 1)

    @property
    def cut_hours(self) -> Between:
        """Nine hours that begin and end within a minute."""
        return Between("timestamp", self.within, self.within + 9 * HOUR)

    @property
    def aggregate(self) -> All:
        """All events of one aggregate."""
        return All((Among("aggregateType", ("user",)), Among("aggregateId", self.aggregate_ids[:1])))


@dataclass(frozen=True, slots=True)
class Shape:
    """A filter, and how its events are found.

    Either an index gives them in log order (and, if a time range cuts a minute, all of that minute); or an index
    leads to them, and MongoDB sorts them; or no index helps, and the log is scanned in windows.
    """

    kind: Kind
    filter: Filter


def shapes(samples: Samples) -> dict[str, Shape]:
    """Every shape by its name."""
    return {
        **{name: Shape("in order", filter) for name, filter in _in_order(samples).items()},
        **{name: Shape("cut", filter) for name, filter in _cut(samples).items()},
        **{name: Shape("sorted", filter) for name, filter in _sorted(samples).items()},
        **{name: Shape("free", filter) for name, filter in _free(samples).items()},
    }


def places(samples: Samples) -> Mapping[str, Mapping[str, Any]]:
    """The places where a page may begin."""
    return {
        "the newest": {"newest_first": True},
        OLDEST: {},
        "after a cursor": {"above": samples.cursor},
        "before a cursor": {"below": samples.cursor, "newest_first": True},
    }


def faults(kind: Kind, looked: Mapping[str, QueryPlan], samples: Samples) -> dict[str, list[str]]:
    """What is wrong with how the pages were found, by their places."""
    spare = 2 * samples.busiest if kind == "cut" else 0  # it has two ends
    whole = sum(plan["executionStats"]["nReturned"] for plan in looked[OLDEST].plans)
    return {place: wrong for place, one in looked.items() if (wrong := _wrong(kind, one, whole, spare))}


def _wrong(kind: Kind, looked: QueryPlan, whole: int, spare: int) -> list[str]:
    wrong = ["no index was used"] if "IXSCAN" not in looked.stages else []
    if "COLLSCAN" in looked.stages:
        wrong.append("a whole collection was gone through")
    match kind:
        case "in order" | "cut":
            if "SORT" in looked.stages:
                wrong.append("MongoDB had to sort")
            if len(looked.plans) != 1:
                wrong.append(f"it took {len(looked.plans)} reads")
            wrong += _over(looked.examined, MOST * max(looked.returned, 1) + spare)
        case "sorted":
            wrong += _over(looked.examined, whole)
        case "free":
            window = SearchLimits().window
            for turn, plan in enumerate(looked.plans):
                wrong += _over(plan["executionStats"]["totalDocsExamined"], EXAMINED_AGAIN * window * 4**turn)
    return wrong


def _over(examined: int, most: int) -> list[str]:
    return [f"{examined:,} documents were examined, and at most {most:,} may be"] if examined > most else []


def _in_order(samples: Samples) -> dict[str, Filter]:
    aggregate, ten_hours, middle = samples.aggregate, samples.ten_hours, samples.middle
    user, correlation = Among("userId", samples.users[:1]), Among("correlationId", samples.correlations[:1])
    own: dict[str, Filter] = {
        "type": TypePatterns(("user.updated",)),
        "aggregate type": Among("aggregateType", ("user",)),
        "aggregate id": Among("aggregateId", samples.aggregate_ids[:1]),
        "user": user,
        "correlation": correlation,
        "causation": Among("causationId", samples.causations[:1]),
    }
    deleted = TypePatterns(("user.deleted",))
    return {
        "no condition": EVERYTHING,
        "positions": Between("position", 1000, 1200),
        "ten hours": ten_hours,
        "until an hour": Between("timestamp", None, middle - 1),
        "from an hour on": Between("timestamp", middle, None),
        **own,
        **{f"{name} and type": All((filter, deleted)) for name, filter in own.items() if name != "type"},
        **{f"{name} and ten hours": All((filter, ten_hours)) for name, filter in own.items()},
        "aggregate": aggregate,
        "aggregate and type": All((aggregate, deleted)),
        "aggregate and ten hours": All((aggregate, ten_hours)),
        "types": TypePatterns(("user.created", "vendor.created", "vendor.updated")),
        "a pattern of types": TypePatterns(("user.*",)),
        "patterns of types": TypePatterns(("*.created", "user.*")),
        "every type": TypePatterns(("*",)),
        "not these types": Not(TypePatterns(("*.updated",))),
        "aggregate types": Among("aggregateType", ("user", "vendor")),
        "aggregate ids": Among("aggregateId", samples.aggregate_ids),
        "users": Among("userId", samples.users),
        "correlations": Among("correlationId", samples.correlations),
        "causations": Among("causationId", samples.causations),
        "one or the other": Any_((user, correlation)),
        "a user or a pattern": Any_((user, TypePatterns(("vendor.*",)))),
        "an aggregate or a user": Any_((aggregate, user)),
        "one or the other of some hours": All(
            (Any_((user, Among("correlationId", samples.correlations[1:]))), ten_hours)
        ),
        "an indexed path": samples.indexed,
        "an indexed path with one of some values": samples.indexed_several,
        "an indexed path through a list": samples.indexed_list,
    }


def _cut(samples: Samples) -> dict[str, Filter]:
    hours, user = samples.cut_hours, Among("userId", samples.users[:1])
    return {
        "hours that are cut": hours,
        "until a moment": Between("timestamp", None, samples.within),
        "from a moment on": Between("timestamp", samples.within, None),
        "type and hours that are cut": All((TypePatterns(("user.updated",)), hours)),
        "a pattern of types and hours that are cut": All((TypePatterns(("user.*",)), hours)),
        "aggregate and hours that are cut": All((samples.aggregate, hours)),
        "user and hours that are cut": All((user, hours)),
        "one or the other of hours that are cut": All((Any_((user, samples.aggregate)), hours)),
    }


def _sorted(samples: Samples) -> dict[str, Filter]:
    return {
        "one id": Ids(samples.ids[len(samples.ids) // 2 :][:1]),
        "ids": Ids(samples.ids),
        "versions": All((samples.aggregate, Between("version", *samples.versions))),
    }


def _free(samples: Samples) -> dict[str, Filter]:
    nowhere = Path("data", ("nowhere",))
    user = Among("userId", samples.users[:1])
    return {
        "a path": samples.free,
        "a path that leads nowhere": Holds(nowhere, (Equals((1,)),)),
        "a path and an object": samples.free_object,
        "a range of an indexed path": samples.indexed_range,
        "the start of an indexed path": samples.indexed_start,
        "an indexed path that is null": Holds(samples.indexed.path, (Equals((None,)),)),
        "whether a path leads anywhere": Exists(samples.indexed.path),
        "not a user": Not(user),
        "not of an indexed path": Not(samples.indexed),
        "not within ten hours": Not(samples.ten_hours),
        "versions of any aggregate": Between("version", 3, 5),
        "a user or a path": Any_((user, Exists(nowhere))),
    }
