"""Checks of the MongoDB server. No I/O."""

from collections.abc import Sequence
from typing import Final

from eventscope.doctor.finding import Finding, broken, note, ok, warning
from eventscope.settings import variable
from eventscope.store.diagnostics import HISTORY, IndexFacts, ServerFacts, own_indexes

OLDEST: Final = (6, 0)
MEMBERS: Final = 3
FREE_WARNING: Final = 0.15
FREE_BROKEN: Final = 0.03
SERVE: Final = "start `eventscope serve` or `eventscope ingest`, which create them"


def findings(facts: ServerFacts, *, embedded: bool) -> list[Finding]:
    """The findings of all checks; an `embedded` server, one run by `eventscope dev`, needs only one member."""
    return [
        version(facts.version),
        replica_set(facts, embedded=embedded),
        *members(facts),
        write_concern(facts),
        indexes(facts.indexes, own_indexes()),
        expiry(facts),
        history(facts.history_seconds),
        disk(facts),
    ]


def version(number: str) -> Finding:
    """The server's version."""
    check, text = "MongoDB version", f"MongoDB {number}"
    if tuple(int(part) for part in number.split(".")[:2]) < OLDEST:
        return warning(check, text, "upgrade to 6.0 or newer: Eventscope is not tested with older versions")
    return ok(check, text)


def replica_set(facts: ServerFacts, *, embedded: bool) -> Finding:
    """Whether the server has transactions, and how many members hold the data."""
    check = "MongoDB replica set"
    if facts.replica_set is None:
        return broken(
            check,
            "MongoDB is not a replica set, and transactions need one",
            "start mongod with --replSet, and run rs.initiate() once; one member is enough",
        )
    count = len(facts.members)
    text = f"{facts.replica_set} has {count} member{'s' * (count != 1)} with data"
    if count >= MEMBERS:
        return ok(check, text)
    if embedded:
        return note(check, f"{text}, as embedded servers do")
    return warning(check, f"{text}: the loss of one disk loses events", "run three members on three machines")


def members(facts: ServerFacts) -> list[Finding]:
    """Members that are down; empty if none is, or if we may not ask."""
    if not facts.unhealthy:
        return []
    names = ", ".join(facts.unhealthy)
    return [warning("MongoDB members", f"not healthy: {names}", "look at rs.status(), and bring them back")]


def write_concern(facts: ServerFacts) -> Finding:
    """Whether an event counts as stored only once a majority has it in its journal."""
    check = "MongoDB write concern"
    concern = facts.write_concern
    if concern.get("w") == "majority" and concern.get("j") is True and facts.read_concern == "majority":
        return ok(check, "events count as stored once they are in the journal of a majority, and are read only then")
    return broken(
        check,
        f"writes use {dict(concern)}, reads use {facts.read_concern}: stored events may be rolled back",
        f"remove w, journal and readConcernLevel from {variable('mongo_url')}",
    )


def indexes(present: frozenset[IndexFacts], definitions: Sequence[IndexFacts]) -> Finding:
    """Whether all indexes exist that queries and uniqueness need."""
    check = "MongoDB indexes"
    if not present:
        return warning(check, "the log has not been created yet", SERVE)
    missing = [index for index in definitions if index not in present]
    if not missing:
        return ok(check, f"all {len(definitions)} exist")
    others = {(index.collection, index.keys) for index in present}
    problems = [
        f"{index.name} {'has other options' if (index.collection, index.keys) in others else 'is missing'}"
        for index in missing
    ]
    different = any((index.collection, index.keys) in others for index in missing)
    advice = f"drop those with other options, and {SERVE}" if different else SERVE
    return broken(check, ", ".join(problems), advice)


def expiry(facts: ServerFacts) -> Finding:
    """Whether MongoDB deletes expired documents, and no others."""
    check = "MongoDB expiry"
    expiring = [index for index in facts.indexes if index.expire_after is not None]
    # an older version indexed all events and not those alone that expire, which deletes the same
    right = {(one.collection, one.keys, one.expire_after) for one in own_indexes()}
    wrong = [one for one in expiring if (one.collection, one.keys, one.expire_after) not in right]
    if wrong:
        return broken(
            check,
            f"MongoDB deletes by {', '.join(f'{one.name} after {one.expire_after:g} s' for one in wrong)}",
            "before it deletes events, drop the index, and " + SERVE,
        )
    served = {(one.collection, one.keys) for one in expiring}
    missing = [
        one.collection
        for one in own_indexes()
        if one.expire_after is not None and (one.collection, one.keys) not in served
    ]
    if missing:
        return warning(check, f"expired documents of {' and '.join(missing)} are not deleted", SERVE)
    if facts.expires is False:
        return warning(
            check,
            "expired documents are not deleted: ttlMonitorEnabled is off",
            "switch it on: db.adminCommand({setParameter: 1, ttlMonitorEnabled: true})",
        )
    return ok(check, "expired events and rejected messages are deleted")


def history(seconds: float | None) -> Finding:
    """Whether indexes carry a history of documents that Eventscope does not read."""
    check = "MongoDB history"
    if seconds is None:
        return note(check, f"{HISTORY} is unknown")
    if seconds == 0:
        return ok(check, "indexes carry no history")
    return note(
        check,
        f"MongoDB keeps {seconds:g} s of history, which makes the indexes of a fast log up to twice as large",
        f"unless other applications read snapshots here, db.adminCommand({{setParameter: 1, {HISTORY}: 0}}), and start"
        " mongod with that parameter from now on",
    )


def disk(facts: ServerFacts) -> Finding:
    """How much disk space is free."""
    check = "MongoDB disk"
    if not facts.disk_total or facts.disk_used is None:
        return note(check, "free disk space is unknown")
    free = facts.disk_total - facts.disk_used
    share = free / facts.disk_total
    text = f"{free / 2**30:.1f} GiB of {facts.disk_total / 2**30:.1f} GiB are free ({share:.0%})"
    advice = f"free disk space, or keep events for a shorter time with {variable('retention')}"
    if share < FREE_BROKEN:
        return broken(check, text, advice)
    return warning(check, text, advice) if share < FREE_WARNING else ok(check, text)
