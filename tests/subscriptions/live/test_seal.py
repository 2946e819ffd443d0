"""Seals: messages sealed with the key are genuine, and nothing else is, however it was altered."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from eventscope.subscriptions.live.seal import Seal, is_genuine, is_genuine_answer, is_sealed, seal_answer

KEY = b"k" * 32
bodies = st.lists(st.integers(0, 9), max_size=5).map(lambda value: b'"events":' + orjson.dumps(value))


@given(bodies, st.binary(min_size=32, max_size=32))
def test_a_sealed_message_is_json_with_its_members_and_is_genuine_only_with_its_key(body: bytes, other: bytes) -> None:
    raw = Seal(KEY, 7).on(body)
    told: Any = orjson.loads(raw)
    assert told["events"] == orjson.loads(b"{%s}" % body)["events"]
    assert (told["term"], told["number"]) == (7, 1)
    assert is_sealed(raw)
    assert is_genuine(raw, KEY)
    assert is_genuine(raw, other) is (other == KEY)


@given(bodies, st.data())
def test_a_message_with_any_byte_changed_is_not_genuine(body: bytes, data: st.DataObject) -> None:
    raw = Seal(KEY, 1).on(body)
    place = data.draw(st.integers(0, len(raw) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda one: one != raw[place]))
    assert not is_genuine(raw[:place] + bytes([byte]) + raw[place + 1 :], KEY)
    assert not is_genuine(raw[:place], KEY)
    assert not is_genuine(raw + bytes([byte]), KEY)


@given(st.binary(max_size=200))
def test_no_random_bytes_pass_for_a_genuine_message(raw: bytes) -> None:
    assert not is_genuine(raw, KEY)
    assert not is_genuine(b'{"signature":"' + raw, KEY)


def test_each_message_has_a_higher_number_than_the_one_before() -> None:
    seal = Seal(KEY, 3)
    numbers = [orjson.loads(seal.on(b'"events":[]'))["number"] for _ in range(4)]
    assert numbers == [1, 2, 3, 4]


places = st.from_regex(r"_INBOX\.[a-z]{1,9}", fullmatch=True)


@given(places, st.binary(max_size=40), places, st.binary(max_size=40))
def test_an_answer_is_genuine_only_in_its_inbox_and_for_what_was_published(
    place: str, published: bytes, other_place: str, other: bytes
) -> None:
    raw = seal_answer(b'{"messageId":"m","position":1}', place, published, KEY)
    told = orjson.loads(raw)
    del told["signature"]
    assert told == {"messageId": "m", "position": 1}
    assert is_genuine_answer(raw, place, published, KEY)
    assert is_genuine_answer(raw, other_place, other, KEY) is ((other_place, other) == (place, published))
    assert not is_genuine_answer(raw + b" ", place, published, KEY)
    assert not is_genuine_answer(raw, place, published, b"o" * 32)


@given(bodies, places)
def test_no_live_batch_passes_for_an_answer_and_no_answer_for_a_live_batch(body: bytes, place: str) -> None:
    assert not is_genuine(seal_answer(b"{%b}" % body, place, b"", KEY), KEY)
    assert not is_genuine_answer(Seal(KEY, 1).on(body), place, b"", KEY)
