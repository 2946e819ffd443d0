"""Cursors: short opaque text that comes back as the place it was made of, or is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventscope.errors import BadInput
from eventscope.resolvers.cursor import MOST, Cursor, Kind, decode, encode

kinds = st.sampled_from(["e", "a", "r"])
places = st.integers(0, MOST)


@given(kind=kinds, place=places, head=st.none() | places)
def test_a_cursor_comes_back_as_what_it_was_made_of(kind: Kind, place: int, head: int | None) -> None:
    text = encode(kind, place, head)
    assert decode(kind, text, "after") == Cursor(place, head)
    assert len(text) <= 34
    assert text.replace("-", "").isalnum()


@given(kind=kinds, text=st.text() | st.from_regex(r"\A[ear][0-9a-f]+(-[0-9a-f]+)?\Z"))
def test_a_text_is_a_place_within_64_bits_or_refused(kind: Kind, text: str) -> None:
    try:
        cursor = decode(kind, text, "after")
    except BadInput as error:
        assert error.field == "after"
        assert len(str(error)) < 300
    else:
        assert text.startswith(kind)
        assert 0 <= cursor.place <= MOST
        assert cursor.head is None or 0 <= cursor.head <= MOST


@pytest.mark.parametrize("text", ["e8000000000000000", "e1-8000000000000000"])
def test_a_place_beyond_64_bits_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        decode("e", text, "after")


def test_a_cursor_is_of_one_kind_of_list() -> None:
    with pytest.raises(BadInput, match="before: 'a5' is not a cursor of this list"):
        decode("e", encode("a", 5), "before")
