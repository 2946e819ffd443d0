"""The log that the guides describe: a vendor that moves, and the effects."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from pymongo import AsyncMongoClient

from eventscope.settings import Settings
from eventscope.store.catalogue import counting
from eventscope.store.log import open_log, prepare
from tests.support.api_server import RunningApi, running_api
from tests.support.sample_log import fill, name_log

Row = tuple[str, str, str, tuple[str, str], str | None, str | None, dict[str, Any], dict[str, Any]]

NINA = {"reason": "moved to the market square", "source": "web", "ip": "192.0.2.7"}
OTTO = {"reason": "asked by phone"}
WEB, MAIL = {"source": "web"}, {"source": "mailer"}
VENDOR = ("vendor", "v-17")
MESSAGES: list[Row] = [
    # id, time, type, aggregate, user, cause, data, metadata
    ("v1", "10T08:00:00", "vendor.created", VENDOR, "nina", None, {"name": "Soup & Sons"}, WEB),
    ("v2", "10T09:30:00", "vendor.updated", VENDOR, "nina", None, {"phone": "0301234"}, WEB),
    ("m1", "11T12:00:00", "vendor.location.updated", VENDOR, "nina", None, {"city": "Bonn", "stall": 4}, NINA),
    ("m2", "11T12:00:00.120", "map.updated", ("map", "bonn"), None, "m1", {"stalls": 12}, {"source": "maps"}),
    ("m3", "11T12:00:00.350", "user.notified", ("user", "u-3"), None, "m1", {"by": "mail"}, MAIL),
    ("m4", "11T12:00:02.350", "mail.bounced", ("user", "u-3"), None, "m3", {"code": 550}, MAIL),
    ("m5", "11T12:00:02.400", "vendor.flagged", VENDOR, None, "m4", {"flag": "mail"}, {"reason": "mail bounced"}),
    ("v3", "12T07:15:00", "vendor.updated", VENDOR, "otto", "ticket-81", {"phone": None, "vat": True}, OTTO),
]


def message(row: Row) -> bytes:
    id, time, type, (kind, of), user, cause, data, metadata = row
    fields: dict[str, Any] = {
        "messageId": id,
        "type": type,
        "timestamp": f"2026-03-{time}Z",
        "aggregateType": kind,
        "aggregateId": of,
        "correlationId": "move-17" if id[0] == "m" else f"edit-{id}",
        "data": data,
        "metadata": metadata,
    }
    more = {"userId": user, "causationId": cause}
    return orjson.dumps(fields | {name: value for name, value in more.items() if value is not None})


@asynccontextmanager
async def running_guide_api(mongo_url: str, nats_url: str) -> AsyncIterator[RunningApi]:
    """The API over that log, for the length of the block."""
    settings = Settings(
        mongo_url=mongo_url, mongo_database=f"guide_{uuid.uuid4().hex[:12]}", nats_url=nats_url, retention={"*": 0}
    )
    async with open_log(settings.mongo_url, settings.mongo_database) as log:
        await prepare(log)
        await name_log(log, "4f09ac5b1e7d4a0c8b2f6d3e9a1c5b70")
        await fill(log, [message(row) for row in MESSAGES], settings.retention)
        await counting.count(log)
    async with running_api(settings) as api:
        yield api
    async with AsyncMongoClient[dict[str, Any]](mongo_url) as client:
        await client.drop_database(settings.mongo_database)
