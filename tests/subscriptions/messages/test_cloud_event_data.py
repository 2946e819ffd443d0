"""The data of a CloudEvent, in either mode: JSON, text in any charset, or bytes in base64, as its type says."""

import base64
from encodings.aliases import aliases

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventscope.store.values.message import AcceptedMessage, RejectedMessage
from eventscope.subscriptions.messages.cloud_event import IN_BASE64
from tests.subscriptions.support.cloud_events import REQUIRED, read, read_binary


def test_binary_data_that_is_not_json_is_kept_in_base64() -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-type": "a.b", "content-type": "image/png"}
    extensions = read(b"\x89PNG", **headers).fields["extensions"]
    assert (extensions["data_base64"], extensions["datacontenttype"]) == ("iVBORw==", "image/png")


TEXTS = [
    ("text/plain", "Grüße", "utf-8"),
    ("text/plain; charset=utf-8", "Grüße", "utf-8"),
    ('text/csv; header=present; charset="ISO-8859-1"', "Grüße", "latin-1"),
    ("TEXT/HTML; Charset=UTF-8", "<p>é</p>", "utf-8"),
    ("application/xml", "<a/>", "utf-8"),
    ("application/xml; charset=utf-16", "<a>é</a>", "utf-16"),
    ("image/svg+xml", "<svg/>", "utf-8"),
    ("application/x-own; charset=utf-8", "é", "utf-8"),
    ("text/plain;", "é", "utf-8"),
    ('text/plain; a="; charset=utf-16"; charset = windows-1252 ', "€", "cp1252"),
    ('text/plain; charset="utf\\-8"; charset=latin1', "é", "utf-8"),
]


@pytest.mark.parametrize(("kind", "text", "charset"), TEXTS)
def test_data_declared_as_text_is_text(kind: str, text: str, charset: str) -> None:
    raw = text.encode(charset)
    binary = read_binary(raw, REQUIRED, **{"Content-Type": kind})
    structured = read({**REQUIRED, "datacontenttype": kind, IN_BASE64: base64.b64encode(raw).decode()})
    for message in (binary, structured):
        assert isinstance(message, AcceptedMessage), message
        assert message.fields["data"] == text
        assert message.fields["extensions"]["datacontenttype"] == kind
        assert IN_BASE64 not in message.fields["extensions"]


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("image/png", b"\x89PNG"),
        ("application/octet-stream", b"text"),
        ("text/plain", b"\xff\xfe\xfa"),
        ("text/plain; charset=klingon", b"text"),
        ("text/plain; charset=hex", b"6162"),
        ("text/plain; charset=unicode_escape", b"\\u0041"),
        ("text/plain; charset=utf-7", b"+2AA-"),
        ("text/plain; charset=raw_unicode_escape", b"\\ud800"),
        ("text/plain; charset=utf-16-le", b"\0\xd8"),
        ('text/plain; charset="a\0b"', b"text"),
        (f"text/plain; charset*{'9' * 5000}=x", b"text"),
        ("text/plain; charset*=utf-8''x", b"text"),
        (f"text/plain; x={'y' * 1000}", b"text"),
        ('text/plain;"' + "a;" * 100_000, b"text"),
        ("", b"text"),
    ],
)
def test_data_not_declared_as_text_stays_in_base64(kind: str, raw: bytes) -> None:
    encoded = base64.b64encode(raw).decode()
    binary = read_binary(raw, REQUIRED, **{"content-type": kind})
    structured = read({**REQUIRED, "datacontenttype": kind, IN_BASE64: encoded})
    for message in (binary, structured):
        assert isinstance(message, AcceptedMessage), message
        assert "data" not in message.fields
        assert message.fields["extensions"][IN_BASE64] == encoded


@pytest.mark.parametrize("kind", ["application/json", "application/vnd.x+json; charset=utf-8", "text/json"])
def test_json_is_parsed_in_either_mode(kind: str) -> None:
    raw = b'{"n": 1}'
    assert read_binary(raw, REQUIRED, **{"content-type": kind}).fields["data"] == {"n": 1}
    encoded = base64.b64encode(raw).decode()
    assert read({**REQUIRED, "datacontenttype": kind, IN_BASE64: encoded}).fields["data"] == {"n": 1}


@pytest.mark.parametrize(
    "encoded", ["%%%", "e30", base64.b64encode(b"{").decode(), base64.b64encode(b"NaN").decode(), 5]
)
def test_base64_without_json_inside_stays_as_it_came(encoded: object) -> None:
    message = read({**REQUIRED, "datacontenttype": "application/json", IN_BASE64: encoded})
    assert message.fields["extensions"][IN_BASE64] == encoded
    assert "data" not in message.fields


def test_base64_without_a_stated_type_stays_as_it_came() -> None:
    assert read({**REQUIRED, IN_BASE64: "e30="}).fields["extensions"][IN_BASE64] == "e30="


def test_binary_data_without_a_stated_type_is_json() -> None:
    assert read_binary(b'{"n": 1}', REQUIRED).fields["data"] == {"n": 1}
    assert read_binary(b"text", REQUIRED).code == "INVALID_JSON"


def test_base64_counts_if_the_data_is_null() -> None:
    event = {**REQUIRED, "data": None, "datacontenttype": "text/plain", IN_BASE64: base64.b64encode(b"x").decode()}
    assert read(event).fields["data"] == "x"


KINDS = st.text() | st.sampled_from(
    ["text/plain; charset", "text/x; charset*=", "a/xml; charset*0=u; charset*1=tf"]
).flatmap(lambda start: st.text().map(start.__add__))


@given(KINDS, st.binary())
def test_no_content_type_makes_it_fail(kind: str, raw: bytes) -> None:
    structured = read({**REQUIRED, "datacontenttype": kind, IN_BASE64: base64.b64encode(raw).decode()})
    assert isinstance(structured, AcceptedMessage), structured
    assert isinstance(read_binary(raw, REQUIRED, **{"content-type": kind}), AcceptedMessage | RejectedMessage)


@given(
    charset=st.sampled_from(sorted({*aliases, *aliases.values()})),
    raw=st.binary(max_size=8) | st.sampled_from([b"+2AA-", b"\\ud800", b"\\N{DIGIT ONE}", b"xn--", b"\xd8\0"]),
)
def test_no_charset_turns_half_a_surrogate_pair_into_text(charset: str, raw: bytes) -> None:
    message = read_binary(raw, REQUIRED, **{"content-type": f"text/plain; charset={charset}"})
    assert isinstance(message, AcceptedMessage), message
    bson.encode(message.fields)
    assert not raw or ("data" in message.fields) != (IN_BASE64 in message.fields["extensions"])
