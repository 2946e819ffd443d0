"""An examination of real servers: it finds what was done to them, to the stream and to the log."""

import asyncio
import io

import orjson
from nats.aio.client import Client
from nats.js.api import AckPolicy, DiscardPolicy
from rich.console import Console

from eventscope.background import cancel
from eventscope.doctor import examine as doctor
from eventscope.doctor.examine import Options, examine
from eventscope.doctor.finding import Level
from eventscope.settings import Settings
from eventscope.store import incidents
from eventscope.store.events import pages
from eventscope.store.log import Log
from eventscope.subscriptions.live import live_batch
from eventscope.subscriptions.live.seal import Seal
from eventscope.subscriptions.nats import stream
from tests.doctor.support.examinations import HERE, found, worse
from tests.support.until import until


async def test_servers_as_eventscope_sets_them_up_cause_no_warnings(
    settings: Settings, client: Client, at_work: None
) -> None:
    findings = await examine(settings, HERE)
    assert worse(findings) == {}
    assert len({finding.check for finding in findings}) == len(findings) >= 20


async def test_messages_from_others_on_the_live_subject_are_found(
    settings: Settings, log: Log, client: Client, at_work: None
) -> None:
    assert "all from an ingester of this log" in found(await examine(settings, HERE), "live batches")

    async def speak() -> None:
        while True:
            await client.publish(live_batch.subject(settings.stream), b'{"previous":0,"head":9,"events":[]}')
            await client.publish(live_batch.subject(settings.stream), live_batch.heartbeat(9, Seal(b"f" * 32, 9)))
            await asyncio.sleep(0.1)

    speaking = asyncio.create_task(speak())
    try:
        findings = await examine(settings, HERE)
    finally:
        await cancel(speaking)
    assert worse(findings) == {"live batches": Level.WARNING}
    assert "are not from an ingester of this log: API processes ignore them" in found(findings, "live batches")


async def test_single_servers_that_are_not_embedded_cause_warnings(
    settings: Settings, client: Client, at_work: None
) -> None:
    findings = await examine(settings, Options())
    assert worse(findings) == {"MongoDB replica set": Level.WARNING, "NATS replicas": Level.WARNING}


async def test_before_the_first_start_the_advice_is_what_to_start(settings: Settings) -> None:
    findings = await examine(settings, HERE)
    assert worse(findings) == {
        "MongoDB indexes": Level.WARNING,
        "MongoDB expiry": Level.WARNING,
        "NATS stream": Level.BROKEN,
    }


async def test_a_trimmed_stream_reveals_that_the_log_was_dropped_with_its_database(
    settings: Settings, log: Log, client: Client
) -> None:
    js = client.jetstream()
    await stream.ensure(js, settings.stream, settings.subjects)
    subject = settings.subjects[0].replace(">", "user.created")
    for _ in range(3):
        await js.publish(subject, b"{}")
    await log.mongo.client.drop_database(settings.mongo_database)
    assert "log collections" not in worse(await examine(settings, HERE))
    await js.purge_stream(settings.stream, seq=3)
    findings = await examine(settings, HERE)
    assert worse(findings)["log collections"] == Level.WARNING
    assert f"the messages before 3 were removed from {settings.stream}" in found(findings, "log collections")


async def test_harmful_changes_to_mongodb_are_found(
    settings: Settings, log: Log, client: Client, at_work: None
) -> None:
    await log.events.drop_index("messageId_1")
    ttl = {"keyPattern": {"expireAt": 1}, "expireAfterSeconds": 60}
    await log.mongo.database.command({"collMod": "events", "index": ttl})
    findings = await examine(settings, HERE)
    assert worse(findings) == {"MongoDB indexes": Level.BROKEN, "MongoDB expiry": Level.BROKEN}
    assert found(findings, "MongoDB indexes") == ("events(messageId) is missing, events(expireAt) has other options")
    assert found(findings, "MongoDB expiry") == "MongoDB deletes by events(expireAt) after 60 s"


async def test_harmful_changes_to_the_stream_are_found(settings: Settings, client: Client, at_work: None) -> None:
    js = client.jetstream()
    await js.update_stream(
        name=settings.stream,
        subjects=["somewhere.else"],
        discard=DiscardPolicy.OLD,
        max_age=3600.0,
        max_msgs_per_subject=5,
        duplicate_window=30.0,
    )
    findings = await examine(settings, HERE)
    assert worse(findings) == {
        "NATS subjects": Level.BROKEN,
        "NATS discard policy": Level.BROKEN,
        "NATS max age": Level.WARNING,
    }
    assert found(findings, "NATS max age") == "messages are dropped after 1 h, an outage may last 24 h"
    quick = await examine(settings, Options(outage_hours=0.5, embedded=HERE.embedded))
    assert "NATS max age" not in worse(quick)


async def test_incidents_of_the_log_are_found(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    await client.jetstream().publish(f"{subject_prefix}.a", b"{}")
    findings = await examine(settings, HERE)
    assert worse(findings) == {"ingester": Level.WARNING}
    assert found(findings, "ingest lag").startswith("1 message is not stored yet, the oldest for ")


async def test_rejected_messages_are_reported(
    settings: Settings, log: Log, client: Client, subject_prefix: str, at_work: None
) -> None:
    await client.jetstream().publish(f"{subject_prefix}.a", b"no json")
    await client.jetstream().publish(f"{subject_prefix}.a", b'{"messageId": "last"}')
    await until(lambda: pages.event(log, "last"))
    findings = await examine(settings, HERE)
    assert worse(findings) == {"rejected messages": Level.WARNING}
    assert found(findings, "rejected messages") == "INVALID_JSON 1"


async def test_publishers_that_count_versions_themselves_are_found(
    settings: Settings, log: Log, client: Client, subject_prefix: str, at_work: None
) -> None:
    for n in range(1, 6):
        claims = {"user": 1, "order": n, "\x1b[2J[b]": n - 1}
        for of, version in claims.items():
            message = {"aggregateType": of, "aggregateId": "1", "version": version}
            await client.jetstream().publish(f"{subject_prefix}.a", orjson.dumps(message))
    await client.jetstream().publish(f"{subject_prefix}.a", b'{"messageId": "last", "version": 3}')
    await until(lambda: pages.event(log, "last"))
    findings = await examine(settings, HERE)
    assert worse(findings) == {}
    assert next(one.level for one in findings if one.check == "claimed versions") == Level.NOTE
    assert found(findings, "claimed versions") == (
        "of the newest 16 events, 5 '\\x1b[2J[b]' events and 4 user events claim versions that the log does not give: a"
        " publisher counts in its own memory"
    )
    assert "Eventscope-Expected-Version" in next(one.advice for one in findings if one.check == "claimed versions")


async def test_collections_that_do_not_belong_together_are_reported(
    settings: Settings, log: Log, client: Client
) -> None:
    await log.events.insert_one({"_id": 7, "messageId": "foreign"})
    findings = await examine(settings, HERE)
    assert worse(findings)["ingester"] == Level.BROKEN
    assert found(findings, "ingester").startswith("the collection events is not empty, but")
    shown = Console(file=io.StringIO(), width=400)
    shown.print(doctor.table(findings))
    assert shown.file.getvalue().count("restore them all from one backup") == 1  # type: ignore[attr-defined]  # StringIO


async def test_losses_cause_warnings_until_they_are_acknowledged(
    settings: Settings, log: Log, client: Client, at_work: None
) -> None:
    checks = {"incidents", "lost messages", "rejected messages dropped"}

    async def warnings(*, acknowledge: bool = False) -> tuple[set[str], str]:
        findings = await examine(settings, HERE, acknowledge=acknowledge)
        return checks & worse(findings).keys(), found(findings, "incidents")

    await incidents.note(log, "the stream S was recreated")
    await log.meta.update_one({"_id": "checkpoint"}, {"$set": {"lostCount": 3}})
    await log.meta.insert_one({"_id": "rejected", "codes": {"INVALID_JSON": 2}, "since": 1, "last": 1})
    warned, said = await warnings()
    assert (warned, said.endswith("Z: the stream S was recreated")) == (checks, True)
    assert (await warnings(acknowledge=True))[0] == (await warnings())[0] == set()
    await incidents.note(log, "the stream S was recreated again")
    warned, said = await warnings()
    assert (warned, said.endswith("Z: the stream S was recreated again")) == ({"incidents"}, True)


async def test_for_an_ingester_that_runs_but_cannot_continue_the_advice_is_not_to_start_one(
    settings: Settings, log: Log, client: Client, at_work: None, subject_prefix: str
) -> None:
    await client.jetstream().publish(f"{subject_prefix}.a", b'{"messageId": "last"}')
    await until(lambda: pages.event(log, "last"))
    await log.events.drop()
    sentence = "is running but cannot continue: the collection events "

    async def said() -> bool:
        return sentence in found(await examine(settings, HERE), "ingester")

    await until(said)


async def test_durable_consumers_that_keep_the_stream_full_are_named(
    settings: Settings, client: Client, at_work: None, subject_prefix: str
) -> None:
    js = client.jetstream()
    for name in ("forgotten", "other"):
        await js.add_consumer(settings.stream, durable_name=name, ack_policy=AckPolicy.EXPLICIT)
    assert found(await examine(settings, HERE), "NATS consumers").startswith("no durable consumer keeps messages")
    await js.publish(f"{subject_prefix}.a", b'{"data": "' + b"x" * 1000 + b'"}')
    findings = await examine(settings, HERE)
    assert worse(findings) == {}
    assert "forgotten (1 messages, idle for 0.0 h), other (1 messages" in found(findings, "NATS consumers")
    info = await js.stream_info(settings.stream)
    await js.update_stream(info.config, max_bytes=int(info.state.bytes * 1.1))
    findings = await examine(settings, HERE)
    assert worse(findings) == {"NATS consumers": Level.WARNING}
    [advice] = [one.advice for one in findings if one.check == "NATS consumers"]
    assert f"nats consumer rm {settings.stream} forgotten; nats consumer rm {settings.stream} other" in advice


async def test_streams_that_capture_what_eventscope_sends_are_found(settings: Settings, client: Client) -> None:
    js = client.jetstream()
    other = f"{settings.stream}_AUDIT"
    await js.add_stream(name=other, subjects=[live_batch.subject(settings.stream)])
    try:
        findings = await examine(settings, HERE)
        assert worse(findings)["NATS live subjects"] == Level.WARNING
        assert found(findings, "NATS live subjects").startswith(f"{other} captures eventscope.live.")
    finally:
        await js.delete_stream(other)
    await js.update_stream(name=settings.stream, subjects=[*settings.subjects, live_batch.subject(settings.stream)])
    assert worse(await examine(settings, HERE))["NATS live subjects"] == Level.BROKEN


async def test_whatever_is_in_the_database_every_possible_check_is_made(
    settings: Settings, log: Log, client: Client, subject_prefix: str, at_work: None
) -> None:
    await client.jetstream().publish(f"{subject_prefix}.a", b'{"messageId": "last"}')
    await until(lambda: pages.event(log, "last"))
    await log.meta.insert_one({"_id": "rejected", "codes": None, "since": "x"})
    await log.expirations.insert_one({"_id": 5, "through": []})
    await log.aggregates.insert_one({"_id": {"type": "user", "id": "1"}, "last": None})
    await log.rollups.insert_one({"_id": {"hour": [], "type": 5}})
    findings = await examine(settings, HERE)
    assert worse(findings) == {"rejected messages dropped": Level.BROKEN, "derived counts": Level.WARNING}
    assert found(findings, "rejected messages dropped") == "the account of dropped messages in meta is damaged"
    await log.meta.update_one({"_id": "checkpoint"}, {"$set": {"place": {"stream": "x"}}})
    findings = await examine(settings, HERE)
    assert found(findings, "ingester").startswith(
        "the checkpoint in meta is damaged, Eventscope never wrote this value of place"
    )
    assert found(findings, "rejected messages") == "none"
