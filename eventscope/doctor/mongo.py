"""What `eventscope doctor` thinks of a MongoDB: plain functions of the facts."""

from collections.abc import Sequence
from typing import Final

from eventscope.doctor.finding import Finding, broken, note, ok, warning
from eventscope.settings import variable
from eventscope.store.diagnostics import IndexFacts, ServerFacts, own_indexes

OLDEST: Final = (6, 0)
MEMBERS: Final = 3
FREE_WARNING: Final = 0.15
FREE_BROKEN: Final = 0.03
SERVE: Final = "start `eventscope serve` or `eventscope ingest`, which make them"


def findings(facts: ServerFacts, *, embedded: bool) -> list[Finding]:
    """All that there is to say; of an `embedded` server, that of `eventscope dev`, one member is expected."""
    return [
        version(facts.version),
        replica_set(facts, embedded=embedded),
        *members(facts),
        write_concern(facts),
        indexes(facts.indexes, own_indexes()),
        expiry(facts),
        disk(facts),
    ]


def version(found: str) -> Finding:
    """The server's version."""
    check, said = "MongoDB version", f"MongoDB {found}"
    if tuple(int(part) for part in found.split(".")[:2]) < OLDEST:
        return warning(check, said, "upgrade to 6.0 or newer: nothing is tested with an older one")
    return ok(check, said)


def replica_set(facts: ServerFacts, *, embedded: bool) -> Finding:
    """Whether there are transactions, and how many machines may die."""
    check = "MongoDB replica set"
    if facts.replica_set is None:
        return broken(
            check,
            "MongoDB is not a replica set, and transactions need one",
            "start mongod with --replSet, and run rs.initiate() once; one member is enough to work",
        )
    count = len(facts.members)
    found = f"{facts.replica_set} has {count} member{'s' * (count != 1)} with data"
    if count >= MEMBERS:
        return ok(check, found)
    if embedded:
        return note(check, f"{found}, as embedded servers do")
    return warning(check, f"{found}: an event is lost with the disk of one", "have three members on three machines")


def members(facts: ServerFacts) -> list[Finding]:
    """Members that are away; nothing when none is, or we may not ask."""
    if not facts.unhealthy:
        return []
    away = ", ".join(facts.unhealthy)
    return [warning("MongoDB members", f"not well: {away}", "look at rs.status(), and bring them back")]


def write_concern(facts: ServerFacts) -> Finding:
    """What has to be on how many disks before an event counts as stored."""
    check = "MongoDB write concern"
    concern = facts.write_concern
    if concern.get("w") == "majority" and concern.get("j") is True and facts.read_concern == "majority":
        return ok(check, "events are stored when they are in the journal of a majority, and read only then")
    return broken(
        check,
        f"writes ask for {dict(concern)}, reads for {facts.read_concern}: what was stored may be rolled back",
        f"take w, journal and readConcernLevel out of {variable('mongo_url')}",
    )


def indexes(present: frozenset[IndexFacts], needed: Sequence[IndexFacts]) -> Finding:
    """Whether every index is there that questions and uniqueness stand on."""
    check = "MongoDB indexes"
    if not present:
        return warning(check, "the log has not been made yet", SERVE)
    missing = [index for index in needed if index not in present]
    if not missing:
        return ok(check, f"all {len(needed)} are there")
    others = {(index.collection, index.keys) for index in present}
    told = [
        f"{index.name} {'has other options' if (index.collection, index.keys) in others else 'is missing'}"
        for index in missing
    ]
    unlike = any((index.collection, index.keys) in others for index in missing)
    advice = f"drop those with other options, and {SERVE}" if unlike else SERVE
    return broken(check, ", ".join(told), advice)


def expiry(facts: ServerFacts) -> Finding:
    """Whether MongoDB deletes what has expired, and nothing else."""
    check = "MongoDB expiry"
    found = [index for index in facts.indexes if index.expire_after is not None]
    wrong = [index for index in found if index not in own_indexes()]
    if wrong:
        return broken(
            check,
            f"MongoDB deletes by {', '.join(f'{one.name} after {one.expire_after:g} s' for one in wrong)}",
            "set it right before events are gone: drop the index, and " + SERVE,
        )
    missing = [one.collection for one in own_indexes() if one.expire_after is not None and one not in found]
    if missing:
        return warning(check, f"of {' and '.join(missing)} nothing is deleted that has expired", SERVE)
    if facts.expires is False:
        return warning(
            check,
            "nothing is deleted that has expired: ttlMonitorEnabled is off",
            "switch it on: db.adminCommand({setParameter: 1, ttlMonitorEnabled: true})",
        )
    return ok(check, "events and rejected messages are deleted when they have expired")


def disk(facts: ServerFacts) -> Finding:
    """How much room there is."""
    check = "MongoDB disk"
    if not facts.disk_total or facts.disk_used is None:
        return note(check, "how much room is left cannot be seen")
    free = facts.disk_total - facts.disk_used
    share = free / facts.disk_total
    found = f"{free / 2**30:.1f} GiB of {facts.disk_total / 2**30:.1f} GiB are free ({share:.0%})"
    advice = f"make room, or keep events for a shorter time with {variable('retention')}"
    if share < FREE_BROKEN:
        return broken(check, found, advice)
    return warning(check, found, advice) if share < FREE_WARNING else ok(check, found)
