"""Each document is prepared once per text; those that are kept are bounded in number and size."""

from functools import partial

import pytest
from graphql import GraphQLSyntaxError

from eventscope.schema.build import build
from eventscope.schema.compiled.documents import MOST_LINES, Documents
from eventscope.schema.compiled.executor import PLANS
from eventscope.schema.limits.limits import Limits

SCHEMA = build()._schema


@pytest.fixture
def documents() -> Documents:
    return Documents(SCHEMA, Limits())


def text(number: int, padding: int = 0) -> str:
    return f"query Q{number} {{ __typename{' ' * padding} }}"


def test_a_text_is_prepared_once(documents: Documents) -> None:
    assert documents.of("{ __typename }") is documents.of("{ __typename }")
    assert documents.of("{ __typename }") is not documents.of("{  __typename }")


def test_a_text_that_cannot_be_parsed_is_an_error_each_time(documents: Documents) -> None:
    for _ in range(2):
        with pytest.raises(GraphQLSyntaxError):
            documents.of("{")


def test_each_request_with_a_refused_document_gets_its_errors_as_new_objects(documents: Documents) -> None:
    found = documents.of("{ nothing }")
    [one], [other] = found.refusals(), found.refusals()
    one.extensions = {"code": "MINE"}
    assert other.extensions != one.extensions
    assert one.formatted["locations"] == other.formatted["locations"] == [{"line": 1, "column": 3}]


def test_the_least_recently_used_document_makes_room() -> None:
    documents = Documents(SCHEMA, Limits(), most_documents=3)
    kept = [documents.of(text(n)) for n in range(3)]
    assert documents.of(text(0)) is kept[0]
    documents.of(text(3))
    assert documents.of(text(0)) is kept[0]
    assert documents.of(text(1)) is not kept[1]


@pytest.mark.parametrize("bounded", [partial(Documents, most_tokens=12), partial(Documents, most_text=60)])
def test_fewer_large_documents_are_kept_than_small_ones(bounded: type[Documents]) -> None:
    documents = bounded(SCHEMA, Limits())
    kept = [documents.of(text(n)) for n in range(3)]
    assert documents.of(text(2)) is kept[2]
    assert documents.of(text(0)) is not kept[0]


def test_a_document_that_is_larger_than_the_whole_cache_is_not_kept() -> None:
    documents = Documents(SCHEMA, Limits(), most_text=60)
    small = documents.of(text(1))
    assert documents.of(text(2, padding=100)) is not documents.of(text(2, padding=100))
    assert documents.of(text(1)) is small


def test_refused_documents_take_no_room_from_valid_ones() -> None:
    documents = Documents(SCHEMA, Limits(), most_documents=20)
    good = documents.of(text(0))
    bad = [documents.of(f"{{ nothing{n} }}") for n in range(100)]
    assert documents.of(text(0)) is good
    assert documents.of("{ nothing99 }") is bad[99]
    assert documents.of("{ nothing1 }") is not bad[1]


def test_when_too_much_has_been_compiled_all_documents_are_dropped(documents: Documents) -> None:
    first = documents.of("{ __typename }")
    first.document.definitions[0].__dict__[PLANS].on_compiled(MOST_LINES + 1)
    assert documents.of("{ __typename }") is not first
    assert documents.lines == 0


def test_an_operation_is_selected_by_its_name_or_as_the_only_one(documents: Documents) -> None:
    one = documents.of("query A { __typename }")
    assert one.query(SCHEMA, None) is not None
    assert one.query(SCHEMA, "A") is not None
    assert one.query(SCHEMA, "B") is None
    two = documents.of("query A { __typename } mutation B { publishEvents(input: []) { messageId } }")
    assert two.query(SCHEMA, None) is None
    assert two.query(SCHEMA, "A") is not None
    assert two.query(SCHEMA, "B") is None, "no query"
