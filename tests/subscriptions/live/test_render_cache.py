"""Recently rendered texts: as many as fit; those least recently used are dropped."""

from eventscope.subscriptions.live.render_cache import OVERHEAD, RenderCache


def test_the_least_recently_used_text_makes_room() -> None:
    texts = RenderCache(3 * (OVERHEAD + 10))
    for position in (1, 2, 3):
        texts.add("a", position, "x" * 10)
    assert texts.get("a", 1) == "x" * 10
    texts.add("b", 1, "y" * 10)
    assert [texts.get("a", position) is not None for position in (1, 2, 3)] == [True, False, True]
    assert texts.get("b", 1) == "y" * 10
    assert texts.size == 3 * (OVERHEAD + 10)


def test_a_text_that_would_fill_the_cache_is_not_kept() -> None:
    texts = RenderCache(1_000)
    texts.add("a", 1, "x" * 1_000)
    assert (texts.get("a", 1), texts.size) == (None, 0)
