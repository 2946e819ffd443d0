"""Cursors: short opaque text that decodes to the position it was made from, or is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventscope.errors import BadInput
from eventscope.resolvers.cursor import MOST, Cursor, Kind, decode, encode, of_event, of_events, suffix
from eventscope.store.identity import LogIdentity
from eventscope.store.values.documents import EventDocument

kinds = st.sampled_from(["e", "a", "r"])
positions = st.integers(0, MOST)
names = st.none() | st.uuids().map(lambda uuid: uuid.hex)


def tag_of(name: str | None) -> str | None:
    return LogIdentity(name).tag


@given(kind=kinds, position=positions, head=st.none() | positions, name=names)
def test_a_cursor_decodes_to_what_it_was_made_of(kind: Kind, position: int, head: int | None, name: str | None) -> None:
    position = position if head is None else min(position, head)
    text = encode(kind, position, head, tag=tag_of(name))
    assert decode(kind, text, "after") == Cursor(position, head, tag_of(name))
    assert len(text) <= 41
    assert text.replace("-", "").replace(".", "").isalnum()


@given(one=names, other=names, position=positions)
def test_cursors_of_two_logs_are_distinguished(one: str | None, other: str | None, position: int) -> None:
    cursors = [decode("e", encode("e", position, tag=tag_of(name)), "after") for name in (one, other)]
    assert (cursors[0] == cursors[1]) == (tag_of(one) == tag_of(other))


@given(position=positions, name=names)
def test_events_get_the_cursor_of_their_position(position: int, name: str | None) -> None:
    event: EventDocument = {
        "_id": position,
        "messageId": "m",
        "type": "a",
        "timestamp": 0,
        "recordedAt": 0,
        "source": {"stream": "S", "created": "", "sequence": 1},
    }
    wanted = encode("e", position, tag=tag_of(name))
    assert of_event(event, suffix(tag_of(name))) == of_events(tag_of(name))(event) == wanted


@given(kind=kinds, text=st.text() | st.from_regex(r"\A[ear][0-9a-f]+(-[0-9a-f]+)?(\.[0-9a-z]+)?\Z"))
def test_a_text_is_either_a_position_within_64_bits_or_refused(kind: Kind, text: str) -> None:
    try:
        cursor = decode(kind, text, "after")
    except BadInput as error:
        assert error.field == "after"
        assert len(str(error)) < 300
    else:
        assert text.startswith(kind)
        assert 0 <= cursor.position <= MOST
        assert cursor.head is None or 0 <= cursor.head <= MOST
        assert cursor.tag is None or text.endswith(f".{cursor.tag}")


@pytest.mark.parametrize("text", ["e8000000000000000", "e1-8000000000000000", "e1-8000000000000000.abc"])
def test_a_position_beyond_64_bits_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        decode("e", text, "after")


@pytest.mark.parametrize(
    "text", ["e1.", "e1.ABC", "e1.a.b", "e1.a-2", "e1-2-3.a", "e1.a ", ".a", "e.a", f"e1.{'a' * 17}"]
)
def test_what_only_looks_like_a_cursor_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="is not a cursor of this list"):
        decode("e", text, "after")


def test_a_cursor_belongs_to_one_kind_of_list() -> None:
    with pytest.raises(BadInput, match=r"before: 'a5\.f' is not a cursor of this list"):
        decode("e", encode("a", 5, tag="f"), "before")


@pytest.mark.parametrize("text", ["e01", "e1-02", "e00", "e2-1", "e1-0", "e1-8000000000000000", "e8000000000000000"])
def test_a_cursor_in_a_form_that_is_never_issued_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="is not a cursor of this list"):
        decode("e", text, "after")


@given(kind=kinds, text=st.from_regex(r"\A[ear][0-9a-f]{1,18}(-[0-9a-f]{1,18})?(\.[0-9a-z]{1,17})?\Z"))
def test_only_forms_in_which_cursors_are_issued_are_accepted(kind: Kind, text: str) -> None:
    try:
        found = decode(kind, text, "after")
    except BadInput:
        return
    assert encode(kind, found.position, found.head, tag=found.tag) == text
