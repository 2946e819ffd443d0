"""Sample messages: a document, a list or lines, with subjects and headers of their own; each byte counts."""

from typing import Any

import pytest

from eventscope.cli.envelope.trial import show
from eventscope.errors import BadInput
from tests.cli.support.trials import ORDER, SHOP


@pytest.mark.parametrize(
    ("content", "count"),
    [
        (b'{"n": 1}', 1),
        (b'{"n":\n 1}\n', 1),
        (b'[{"n": 1}, {"n": 1}]', 2),
        (b'{"n": 1}\n\n{"n": 1}\r\n{"n": 1}', 3),
    ],
)
def test_samples_may_be_a_document_a_list_or_lines(tried: Any, content: bytes, count: int) -> None:
    assert [one["event"]["data"] for one in tried(ORDER, content)] == [{"n": 1}] * count


def test_a_sample_may_have_a_subject_and_headers_of_its_own(tried: Any) -> None:
    mapping = {"type": {"subject": 2}, "userId": {"header": "x-user"}, "correlationId": {"header": "Trace"}}
    message = {"subject": "shop.a", "headers": {"X-User": "ada", "Trace": ["1", "2"]}, "message": {"a": 1}}
    assert tried(mapping, message)[0]["event"] == {
        "type": "a",
        "userId": "ada",
        "correlationId": "2",
        "extensions": {"a": 1},
    }
    bare = {"message": "hello", "subject": "x", "more": 1}
    assert tried(ORDER, bare)[0]["event"]["data"] == bare


def test_headers_are_read_as_they_would_be_on_arrival(tried: Any) -> None:
    mapping = {"type": {"subject": 2}, "userId": {"header": "X-User"}}
    message = {"subject": "shop.a", "headers": {" X-User": " ada\t"}, "message": {}}
    assert tried(mapping, message)[0]["event"] == {"type": "a", "userId": "ada"}


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", "INVALID_JSON"),
        (b'{"n": 123456789012345.6789}', "NUMBER_TOO_PRECISE"),
        (b'{"n": 12345678901234567890}', "INTEGER_TOO_LARGE"),
        (b'{"n": 1, "n": 2}', "DUPLICATE_KEY"),
        (b'{"n": NaN}', "INVALID_JSON"),
        (b"null", "NOT_AN_OBJECT"),
        (b'{"a":' * 120 + b"1" + b"}" * 120, "TOO_DEEP"),
        (b'{"a": "\xff"}', "INVALID_JSON"),
        (b'{"a": "\\ud800"}', "INVALID_JSON"),
        (b'{"\\ud800": [1, {"a": 1, "a": 2.50}]}', "DUPLICATE_KEY"),
        (b"[" * 100_000, "TOO_DEEP"),
    ],
)
def test_no_detail_of_the_bytes_is_lost(tried: Any, line: bytes, code: str) -> None:
    fates = [one["rejected"]["code"] for one in tried(ORDER, line)]
    assert fates == [code]
    assert [one.get("rejected", {}).get("code") for one in tried(ORDER, b"{}\n" + line)] == [None, code]
    if code not in ("INVALID_JSON", "TOO_DEEP") or b"NaN" in line or b"ud800" in line:
        assert tried(ORDER, b"[" + line + b"]")[0]["rejected"]["code"] == code
        wrapped = b'{"subject": "shop.a", "message": ' + line + b"}"
        assert tried(ORDER, wrapped)[0]["rejected"]["code"] == code


@pytest.mark.parametrize(
    ("mapping", "content", "subject", "reason"),
    [
        (ORDER, b"", "a", "there are no sample messages"),
        (ORDER, b"[]", "a", "there are no sample messages"),
        (ORDER, b"{}", None, "sample 1 names no subject; give --subject"),
        (ORDER, b"{}", "a.*", "sample 1: 'a.*' is not a subject"),
        (ORDER, b"{}", "a..b", "sample 1: 'a..b' is not a subject"),
        (ORDER, b'[{}, {"subject": 5, "message": 1}]', "a", "sample 2: its subject is not a string"),
        (
            ORDER,
            b'{"subject": "a", "message": 1, "headers": []}',
            None,
            "sample 1: headers must be an object",
        ),
        (
            ORDER,
            b'{"subject": "a", "message": 1, "headers": {"a": [1]}}',
            None,
            "sample 1: headers must be an object",
        ),
        (ORDER, b'{"subject": "a", "message": 1, "headers": {"": "x"}}', None, "the header '' cannot be sent"),
        (ORDER, b'{"subject": "a", "message": 1, "headers": {"a:b": "x"}}', None, "the header 'a:b' cannot be sent"),
        (ORDER, b'{"subject": "a", "message": 1, "headers": {"a": "\\ud800"}}', None, "the header 'a' cannot be sent"),
        (ORDER, b'{"subject": "\\ud800", "message": 1}', None, "is not a subject"),
        (ORDER, b"[" + b'{"a":' * 900 + b"1" + b"}" * 900 + b"]", "a", "sample 1 is nested too deep"),
        ('{"agregateId": "x", "type": "y"}', b"{}", "a", "did you mean aggregateId?"),
        ('{"a.>": {"agregateId": "x"}}', b"{}", "a", "did you mean aggregateId?"),
        ("nowhere.json", b"{}", "a", "it cannot be read"),
        ('{"marketplace.>": "nest"}', b"{}", "a", "marketplace.>: 'nest' is not an envelope; did you mean nestjs?"),
    ],
)
def test_mistakes_are_reported(mapping: str, content: bytes, subject: str | None, reason: str) -> None:
    with pytest.raises(BadInput) as wrong:
        show(SHOP, mapping, content, subject, as_json=True)
    assert reason in str(wrong.value)
