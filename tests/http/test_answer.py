"""Answers written piece by piece: the same text, with bounded work for each piece, up to a size limit."""

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from eventscope.http.answer import encode_answer, pieces
from eventscope.schema.large import Large

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=200),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=100), inner, max_size=4),
    max_leaves=60,
)


@given(st.dictionaries(st.text(max_size=5), values, max_size=5), st.sampled_from([1, 3, 10, 50]))
@settings(deadline=None)
async def test_a_large_answer_has_the_text_that_it_would_have_in_one_piece(data: dict[str, Any], piece: int) -> None:
    written = await encode_answer({"data": Large(data), "errors": []}, piece=piece)
    assert orjson.dumps(written) == orjson.dumps({"data": data, "errors": []})
    for part in pieces(data, piece):
        assert len(part) < 300 + 1000 * piece


async def test_a_small_answer_is_left_as_it_is() -> None:
    given = {"data": {"a": 1}}
    assert await encode_answer(given) is given


async def test_an_answer_of_too_many_bytes_is_refused() -> None:
    [error] = (await encode_answer({"data": Large(a=["x" * 100] * 20)}, most_bytes=1000))["errors"]
    assert error["extensions"]["code"] == "QUERY_TOO_COMPLEX"
    assert "the answer has over 1000 bytes" in error["message"]
