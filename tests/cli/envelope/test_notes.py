"""Notes of `eventscope envelope try`: what probably is a mistake in the mapping, and nothing else."""

from typing import Any

import orjson
import pytest

from eventscope.cli.envelope.trial import show
from tests.cli.support.trials import PLACED, SHOP


def test_a_subject_that_no_stream_accepts_is_noted(tried: Any) -> None:
    [shown] = tried({}, {"type": "a.b"}, "market.a")
    assert shown["notes"] == ["EVENTSCOPE_SUBJECTS is shop.>, which does not match this subject"]
    assert tried({}, {}, "market.a")[0]["rejected"]["code"] == "MISSING_TYPE"


@pytest.mark.parametrize(
    ("mapping", "message", "notes"),
    [
        ({"data": "", "userId": "by", "type": {"subject": [2, 4]}}, {"by": 7}, []),
        (
            {"data": "data", "userId": ["by", "data.vendor"]},
            {"by": 7, "data": {}},
            ["userId is mapped from data.vendor, which is in none of these samples"],
        ),
        (
            {"data": "", "type": [{"subject": 9}, {"header": "Kind"}]},
            {},
            [
                "type is mapped from the subject's words 9, which is in none of these samples",
                "type is mapped from the header Kind, which is in none of these samples",
            ],
        ),
        (
            {"data": "", "aggregateId": "id"},
            {"id": 7},
            ["the event has aggregateId and no aggregateType, so it belongs to no aggregate and gets no version"],
        ),
        (
            {"version": "v", "data": "data"},
            {"v": "2.1", "data": 1},
            ["the mapped version is not an integer, and is kept as extensions.version"],
        ),
        ({"version": "v", "data": "data"}, {"v": 2, "data": 1}, []),
        (
            {"timestamp": {"path": "ts", "as": "milliseconds"}, "data": "data"},
            {"ts": 1764154800, "data": 1},
            [
                "the timestamp is 1970-01-21T10:02:34.800000Z, which is long ago: perhaps seconds were read as"
                " milliseconds"
            ],
        ),
        ({"timestamp": {"path": "ts", "as": "seconds"}, "data": "data"}, {"ts": 1764154800, "data": 1}, []),
        (
            {"userId": "by"},
            {"by": 7, "total": 3},
            ['nothing is mapped to data, so the rest is kept as extensions; "data": "" maps all of it'],
        ),
        ({"userId": "by"}, {"by": 7}, []),
        ({"shop.>": "plain"}, {}, []),
        ({"other.>": "plain"}, {}, ["no pattern matches this subject, so the message is read as plain"]),
    ],
)
def test_a_probable_mistake_is_noted(tried: Any, mapping: Any, message: Any, notes: list[str]) -> None:
    [shown] = tried(mapping, message)
    assert shown.get("notes", []) == notes


def test_a_source_that_one_sample_has_is_not_a_mistake_in_another(
    tried: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    mapping = {"data": "", "userId": "by", "correlationId": "why"}
    note = "correlationId is mapped from why, which is in none of these samples"
    samples = [{"by": 7}, {}, 5, [{}]]
    assert [one.get("notes") for one in tried(mapping, samples)] == [[note]] * 4
    assert tried(mapping, [{"by": 7}, {"why": 8}])[1].get("notes") is None
    show(SHOP, orjson.dumps(mapping).decode(), orjson.dumps(samples), PLACED, as_json=False)
    assert capsys.readouterr().out.splitlines()[-2:] == [f"note: {note}", "3 of 4 would be stored"]
    header = {"Eventscope-Envelope": "plain"}
    assert "notes" not in tried(mapping, {"subject": PLACED, "headers": header, "message": {}})[0]
