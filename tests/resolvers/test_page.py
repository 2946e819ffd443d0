"""Pages: the requested entries; one entry beyond them shows that there are more. No I/O."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventscope.errors import BadInput, PageTooLarge
from eventscope.resolvers.page import DEFAULT, MOST, Count, PageRequest, page, request


async def nothing() -> Count:
    return Count(0, 0)


def test_without_a_size_a_page_has_the_default_one() -> None:
    assert request(None, None) == PageRequest(DEFAULT, backward=False, after=None, before=None)


def test_last_takes_entries_from_the_end() -> None:
    assert request(None, "a", 7, "b") == PageRequest(7, backward=True, after="a", before="b")


@pytest.mark.parametrize("size", [0, 1, MOST])
def test_a_page_may_have_any_size_up_to_the_maximum(size: int) -> None:
    assert request(size, None).size == size
    assert request(None, None, size).size == size


def test_a_size_over_the_maximum_is_refused_with_both_numbers() -> None:
    with pytest.raises(PageTooLarge, match="first is 1001, but a page holds at most 1000") as caught:
        request(1001, None)
    assert (caught.value.size, caught.value.most, caught.value.field) == (1001, 1000, "first")
    with pytest.raises(PageTooLarge, match="last is 1001"):
        request(None, None, 1001)


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(BadInput, match="first is -1"):
        request(-1, None)


def test_a_page_is_counted_from_one_end() -> None:
    with pytest.raises(BadInput, match="first and last"):
        request(1, None, 1)


@given(n=st.integers(0, 30), size=st.integers(0, 10), backward=st.booleans(), cut=st.booleans())
def test_a_page_has_the_requested_size_and_says_whether_there_is_more(
    n: int, size: int, backward: bool, cut: bool
) -> None:
    """The list is the numbers up to n; a reader returns one more than requested, from the requested end."""
    whole = list(range(n))
    read = (whole[::-1] if backward else whole)[: size + 1]
    bound = "c" if cut else None
    asked = PageRequest(size, backward, None if backward else bound, bound if backward else None)
    made = page(asked, read, str, nothing)
    assert made.nodes == (whole[max(0, n - size) :] if backward else whole[:size])
    assert [edge.cursor for edge in made.edges] == [str(node) for node in made.nodes]
    further, behind = made.page_info.has_next_page, made.page_info.has_previous_page
    assert (behind if backward else further) == (n > size)
    assert (further if backward else behind) == cut
    assert made.page_info.start_cursor == (made.edges[0].cursor if made.nodes else None)
    assert made.page_info.end_cursor == (made.edges[-1].cursor if made.nodes else None)
