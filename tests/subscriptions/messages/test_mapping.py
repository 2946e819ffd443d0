"""Envelopes of any shape: a mapping takes the members of an event from where they are in the message."""

import asyncio
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client

from eventscope import envelopes
from eventscope.background import end
from eventscope.server.ingester import ingest
from eventscope.settings import Settings
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from eventscope.store.rejected import messages
from eventscope.store.values import moment
from eventscope.store.values.message import AcceptedMessage, Arrival, MessageGroup, RejectedMessage
from eventscope.subscriptions.messages.mapping import Mapper
from eventscope.subscriptions.messages.parse import generated_id, parse_message
from eventscope.subscriptions.messages.versions import VersionUse
from tests.store.support.json_values import json_values
from tests.subscriptions.support import mapped_messages
from tests.support.until import until

VENDOR = {
    "type": "pattern",
    "messageId": "data.meta.eventId",
    "timestamp": "data.meta.timestamp",
    "aggregateType": {"constant": "vendor"},
    "aggregateId": ["data.data.vendorId", "data.data.userId"],
    "correlationId": "data.meta.correlationId",
    "data": "data.data",
}
ONBOARDED = {
    "pattern": "marketplace.vendor.onboarded",
    "data": {
        "context": {"tenant": "eu"},
        "meta": {
            "eventId": "e-1",
            "source": "marketplace",
            "timestamp": "2026-11-23T07:00:00.250Z",
            "version": 1,
            "correlationId": "c-1",
        },
        "data": {"vendorId": "v-7", "name": "Ada's"},
    },
}


def test_an_envelope_within_an_envelope_is_one_mapping() -> None:
    assert mapped_messages.fields(VENDOR, ONBOARDED, "marketplace.vendor.onboarded") == {
        "type": "marketplace.vendor.onboarded",
        "messageId": "e-1",
        "timestamp": moment.from_text("2026-11-23T07:00:00.250Z"),
        "aggregateType": "vendor",
        "aggregateId": "v-7",
        "correlationId": "c-1",
        "data": {"vendorId": "v-7", "name": "Ada's"},
        "extensions": {"data": {"context": {"tenant": "eu"}, "meta": {"source": "marketplace", "version": 1}}},
    }


@pytest.mark.parametrize("vendor", [{}, {"vendorId": None}, {"vendorId": ""}])
def test_the_first_source_that_is_present_counts(vendor: dict[str, Any]) -> None:
    fields = mapped_messages.fields(VENDOR, {"pattern": "a.b", "data": {"data": {**vendor, "userId": 42}}})
    assert (fields["aggregateType"], fields["aggregateId"]) == ("vendor", "42")
    assert fields["data"] == {**vendor, "userId": 42}


def test_a_bare_payload_becomes_the_data() -> None:
    mapping = {"data": "", "aggregateId": "userId", "aggregateType": {"constant": "user"}}
    wholes: list[Any] = ["", ".", {"path": ""}, {"path": []}]
    for whole in wholes:
        fields = mapped_messages.fields({**mapping, "data": whole}, {"userId": "42", "name": "Ada"})
        assert fields["data"] == {"userId": "42", "name": "Ada"}
        assert (fields["aggregateType"], fields["aggregateId"], fields["type"]) == ("user", "42", "a.b")
        assert "extensions" not in fields


def test_words_of_the_subject_may_name_the_type_and_the_aggregate() -> None:
    mapping = {"aggregateType": {"subject": 2}, "aggregateId": {"subject": 3}, "type": {"subject": [2, 4]}}
    fields = mapped_messages.fields(mapping, {"total": 3}, "events.order.00042.placed")
    assert (fields["type"], fields["aggregateType"], fields["aggregateId"]) == ("order.placed", "order", "00042")
    assert fields["extensions"] == {"total": 3}


@pytest.mark.parametrize(
    ("words", "type"),
    [
        (2, "b"),
        ("2", "b"),
        ("2-", "b.c.d"),
        ("2-3", "b.c"),
        ([1, "3-4"], "a.c.d"),
        ("3-3", "c"),
        (5, None),
        ("5-", None),
        ("3-5", None),
        ([1, 5], None),
    ],
)
def test_words_are_counted_from_one_and_joined_by_dots(words: Any, type: str | None) -> None:
    fields = mapped_messages.fields({"type": {"subject": words}}, {}, "a.b.c.d")
    assert fields["type"] == (type or "b.c.d")  # the subject's type, if the words are missing


def test_headers_are_found_in_any_case() -> None:
    mapping = {"userId": {"header": "X-User"}, "metadata.tenant": {"header": "x-tenant"}}
    fields = mapped_messages.fields(mapping, {}, **{"x-user": "ada", "X-Tenant": "eu"})
    assert (fields["userId"], fields["metadata"]) == ("ada", {"tenant": "eu"})
    assert mapped_messages.fields(mapping, {}, **{"x-user": "no", "X-User": "yes"})["userId"] == "yes"


def test_of_headers_whose_names_differ_by_case_the_last_counts() -> None:
    headers = {"X-Tenant": "t1", "x-tenant": "t2"}
    assert mapped_messages.fields({"userId": {"header": "X-Tenant"}}, {}, **headers)["userId"] == "t2"


def test_a_key_may_contain_a_dot_and_a_path_may_lead_into_a_list() -> None:
    mapping = {"userId": {"path": ["user.id"]}, "aggregateId": "items.1.id", "correlationId": "items.x"}
    content = {"user.id": "ada", "items": [{"id": "a"}, {"id": "b"}]}
    fields = mapped_messages.fields(mapping, content)
    assert (fields["userId"], fields["aggregateId"]) == ("ada", "b")
    assert fields["extensions"] == {"items": content["items"]}  # otherwise its indexes would change


def test_members_that_are_not_mapped_are_extensions_whatever_their_names() -> None:
    content = {"type": "x", "messageId": 5, "timestamp": "now", "version": "2.1", "data": 1, "metadata": [], "body": 1}
    fields = mapped_messages.fields({"data": "body"}, content)
    assert fields.pop("extensions") == {name: value for name, value in content.items() if name != "body"}
    assert fields == {"type": "a.b", "messageId": generated_id("EVENTS", 5, 1), "timestamp": 1, "data": 1}


def test_a_source_that_finds_nothing_leaves_the_message_as_it_is() -> None:
    assert mapped_messages.fields({"userId": "meta.user"}, {"meta": {"user": None}})["extensions"] == {
        "meta": {"user": None}
    }
    assert mapped_messages.fields({"userId": "meta.user.id"}, {"meta": {"user": "ada"}})["extensions"] == {
        "meta": {"user": "ada"}
    }


def test_a_mapped_member_of_the_metadata_replaces_nothing() -> None:
    mapping = {"metadata.source": "meta.source", "metadata": "context", "metadata.app": {"constant": {"v": [1]}}}
    meta = {"meta": {"source": "shop"}}
    assert mapped_messages.fields(mapping, meta)["metadata"] == {"source": "shop", "app": {"v": [1]}}
    assert mapped_messages.fields(mapping, {**meta, "context": {"ip": "::1"}})["metadata"] == {
        "ip": "::1",
        "source": "shop",
        "app": {"v": [1]},
    }
    for context in ({"source": "web", "app": 1}, "a text"):
        fields = mapped_messages.fields(mapping, {**meta, "context": context})
        assert (fields["metadata"], fields["extensions"]) == (context, meta)


@pytest.mark.parametrize(
    ("content", "metadata", "extensions"),
    [
        ({"metadata": "a text"}, "a text", {"metadata.tenant": "eu"}),
        ({"metadata": [1]}, [1], {"metadata.tenant": "eu"}),
        ({"metadata": {"tenant": "us"}}, {"tenant": "us"}, {"metadata.tenant": "eu"}),
        ({"metadata": {"tenant": "eu"}}, {"tenant": "eu"}, None),
        ({"metadata": 5, "metadata.tenant": 1}, 5, {"metadata.tenant": 1, "metadata.tenant2": "eu"}),
        ({}, {"tenant": "eu"}, None),
    ],
)
@pytest.mark.parametrize("source", [{"header": "X-Tenant"}, {"subject": 2}], ids=["header", "subject"])
def test_a_value_from_a_header_or_subject_that_has_no_place_in_the_metadata_is_kept_as_an_extension(
    source: Any, content: Any, metadata: Any, extensions: Any
) -> None:
    mapping = {"metadata": "metadata", "metadata.tenant": source}
    fields = mapped_messages.fields(mapping, content, "events.eu", **{"X-Tenant": "eu"})
    assert (fields["metadata"], fields.get("extensions")) == (metadata, extensions)


def test_a_mapped_version_means_what_it_means_in_a_plain_message() -> None:
    content = {"aggregateType": "user", "aggregateId": "42", "v": "3"}
    names = {"aggregateType": "aggregateType", "aggregateId": "aggregateId"}
    mapper = Mapper(envelopes.mapping({**names, "version": {"path": "v", "as": "number"}}))
    expected: dict[VersionUse, Any] = {"claim": (None, 3), "expect": (2, None)}
    for use, versions in expected.items():
        mapped = parse_message(Arrival("events.a.b", {}, orjson.dumps(content), 5, 1), "EVENTS", "a.b", mapper, use)
        assert isinstance(mapped, AcceptedMessage)
        assert (mapped.expected_version, mapped.claimed_version) == versions


@given(json_values(), st.sampled_from(["text", "number"]))
def test_a_mapped_version_rejects_no_event_and_is_kept(version: object, conversion: str) -> None:
    mapping = {"version": {"path": "meta.version", "as": conversion}}
    message = mapped_messages.open_message(mapping, {"meta": {"version": version}, "version": "1.2"})
    assert isinstance(message, AcceptedMessage)
    assert message.fields["extensions"]["version"] == "1.2"
    other = message.fields["extensions"].get("claimedVersion")
    assert version is None or (other is None) is (message.claimed_version is not None)


def test_a_mapped_expectation_that_is_not_a_version_is_refused_with_its_place() -> None:
    mapper = Mapper(envelopes.mapping({"version": {"path": "v", "as": "number"}}))
    message = parse_message(Arrival("events.a.b", {}, b'{"v": "two"}', 5, 1), "EVENTS", "a.b", mapper, "expect")
    assert isinstance(message, RejectedMessage)
    assert message.code == "INVALID_FIELD"
    assert message.reason.startswith("version is two and not")
    assert message.reason.endswith('version is mapped from v, which is "two"')


def test_a_claimed_version_replaces_nothing_that_was_sent() -> None:
    message = {"meta": {"v": "2.1"}, "version": "s3", "claimedVersion": "zzz"}
    assert mapped_messages.fields({"version": "meta.v"}, message)["extensions"] == {
        "version": "s3",
        "claimedVersion": "zzz",
        "claimedVersion2": "2.1",
    }


def test_a_list_of_messages_is_mapped_one_by_one() -> None:
    mapping = {"data": "d", "messageId": {"header": "X-Id"}, "userId": "u"}
    message = mapped_messages.open_message(mapping, [{"d": 1, "u": "a"}, {"d": 2}], **{"X-Id": "x"})
    assert isinstance(message, MessageGroup)
    assert [(one.fields["messageId"], one.fields["data"]) for one in message.messages] == [("x:0", 1), ("x:1", 2)]
    assert mapped_messages.open_message(mapping, [{"d": 1, "u": {}}]).code == "INVALID_FIELD"
    assert mapped_messages.open_message(mapping, [5]).code == "NOT_AN_OBJECT"


async def test_a_mapping_accepts_the_messages_on_its_subjects_and_keeps_those_it_cannot_use(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    setting = {f"{subject_prefix}.marketplace.>": VENDOR, f"{subject_prefix}.>": "plain"}
    chosen = settings.model_copy(update={"envelopes": envelopes.setting(setting)})
    task = asyncio.create_task(ingest(chosen))
    subject = f"{subject_prefix}.marketplace.vendor.onboarded"
    await client.publish(subject, orjson.dumps(ONBOARDED))
    await client.publish(subject, b'{"pattern": "a.b", "data": {"meta": {"timestamp": 5}}}')
    await client.publish(f"{subject_prefix}.user.created", b'{"pattern": "a.b", "data": 1}')

    async def two() -> list[Any]:
        events = list(await pages.events(log, EVERYTHING, limit=10))
        return events if len(events) == 2 else []

    newest, oldest = sorted(await until(two), key=lambda event: -event["_id"])
    assert (newest["type"], newest["extensions"]) == ("user.created", {"pattern": "a.b"})
    assert (oldest["messageId"], oldest["aggregateId"], oldest["version"]) == ("e-1", "v-7", 1)
    [kept] = await messages.rejections(log, limit=2)
    assert (kept.code, kept.subject) == ("INVALID_TIMESTAMP", subject)
    await end(task)
