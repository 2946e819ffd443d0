"""How large an operation is: the same result as from writing its fragments out, without writing them out."""

from dataclasses import replace

from graphql import GraphQLError, get_introspection_query, parse
from hypothesis import given, settings
from hypothesis import strategies as st

from eventscope.schema.limits.extent import Extent, extents
from eventscope.schema.limits.limits import Limits


def test_the_introspection_of_common_tools_is_far_from_every_limit() -> None:
    query = get_introspection_query(
        descriptions=True,
        specified_by_url=True,
        directive_is_repeatable=True,
        schema_description=True,
        input_value_deprecation=True,
    )
    [(_, extent)] = extents(parse(query))
    assert extent == Extent(depth=15, roots=1, fields=229, aliases=0, directives=0)
    assert Limits(depth=15, root_fields=1, fields=229, aliases=0, directives=0).check(parse(query)) == []


def test_limits_can_be_set() -> None:
    document = parse("{ a: log @skip(if: false) { head } }")
    exact = Limits(depth=2, root_fields=1, fields=2, aliases=1, directives=1)
    assert exact.check(document) == []
    for name in ("depth", "root_fields", "fields", "aliases", "directives"):
        [error] = replace(exact, **{name: getattr(exact, name) - 1}).check(document)
        assert isinstance(error, GraphQLError)


names = st.sampled_from("abcd")


def selections(depth: int) -> st.SearchStrategy[str]:
    spread = names.map(lambda name: f"...{name.upper()}")
    leaf = st.sampled_from(["x", "y: x", "x @skip(if: false)"])
    if depth == 0:
        return leaf | spread
    inner = st.lists(selections(depth - 1), min_size=1, max_size=3).map(lambda parts: "{ " + " ".join(parts) + " }")
    return (
        leaf | spread | st.builds(str.__add__, st.sampled_from(["x ", "y: x ", "... ", "... @skip(if: true) "]), inner)
    )


bodies = st.lists(selections(2), min_size=1, max_size=3).map(" ".join)


@given(operation=bodies, fragments=st.tuples(bodies, bodies, bodies, bodies))
@settings(max_examples=300, deadline=None)
def test_the_extent_equals_that_of_the_document_with_all_fragments_written_out(
    operation: str, fragments: tuple[str, ...]
) -> None:
    """Fragments spread only later ones, so that everything can be written out."""
    own = {}
    for n, name in enumerate("ABCD"):
        own[name] = fragments[n]
        for earlier in "ABCD"[: n + 1]:
            own[name] = own[name].replace(f"...{earlier}", "x")
    text = f"{{ {operation} }} " + " ".join(f"fragment {name} on Query {{ {body} }}" for name, body in own.items())
    written = f"{{ {operation} }}"
    for name in "ABCD":
        written = written.replace(f"...{name}", "... { " + own[name] + " }")
    [(_, extent)] = extents(parse(text))
    [(_, expected)] = extents(parse(written))
    assert extent == expected
