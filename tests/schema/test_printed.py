"""The schema as clients know it: schema.graphql is what the code prints, and has the names of the design."""

from collections.abc import Iterator
from pathlib import Path

from graphql import (
    GraphQLEnumType,
    GraphQLSchema,
    GraphQLUnionType,
    build_schema,
    is_introspection_type,
    is_specified_scalar_type,
)

from eventscope.schema.build import build

PRINTED = Path(__file__).parents[2] / "schema" / "schema.graphql"


def test_the_printed_schema_is_that_of_the_code() -> None:
    """After a change: `python -c "from eventscope.schema.build import *; print(build())" > schema/schema.graphql`."""
    assert PRINTED.read_text() == build().as_str() + "\n"


def test_the_root_fields_have_the_names_that_clients_know() -> None:
    schema = build_schema(PRINTED.read_text())
    assert schema.query_type is not None
    assert schema.subscription_type is not None
    questions = {
        "event",
        "events",
        "replay",
        "aggregate",
        "aggregates",
        "stats",
        "rejectedEvents",
        "log",
        "trace",
        "eventTypes",
    }
    assert questions <= set(schema.query_type.fields)
    assert set(schema.query_type.fields["events"].args) == {"filter", "order", "first", "after", "last", "before"}
    assert {"events", "aggregate", "stats", "replay"} <= set(schema.subscription_type.fields)
    assert set(schema.subscription_type.fields["events"].args) == {"filter", "after", "from"}
    feed, start = schema.type_map["EventFeed"], schema.type_map["StartFrom"]
    assert isinstance(feed, GraphQLUnionType)
    assert [type.name for type in feed.types] == ["Event", "CaughtUp", "FellBehind", "RetentionGap", "Checkpoint"]
    assert isinstance(start, GraphQLEnumType)
    assert set(start.values) == {"BEGINNING", "NOW"}


def test_everything_in_the_schema_has_a_description_of_whole_sentences() -> None:
    """This covers types, fields, arguments, values of enums, fields of inputs and directives."""
    schema = build_schema(PRINTED.read_text())
    assert [name for name, said in _described(schema) if not (said and said[0].isalnum() | (said[0] == "`"))] == []
    assert [name for name, said in _described(schema) if said and not said.endswith((".", "…"))] == []


def _described(schema: GraphQLSchema) -> Iterator[tuple[str, str | None]]:
    for type in schema.type_map.values():
        if is_introspection_type(type) or is_specified_scalar_type(type):
            continue
        yield type.name, type.description
        for name, field in getattr(type, "fields", {}).items():
            yield f"{type.name}.{name}", field.description
            for argument, one in getattr(field, "args", {}).items():
                yield f"{type.name}.{name}({argument}:)", one.description
        for name, value in getattr(type, "values", {}).items():
            yield f"{type.name}.{name}", value.description
    for directive in schema.directives:
        yield f"@{directive.name}", directive.description
