"""The schema as clients know it: schema.graphql is what the code prints, and has the names of the design."""

from pathlib import Path

from graphql import GraphQLEnumType, GraphQLObjectType, GraphQLUnionType, build_schema

from eventscope.schema.build import build

PRINTED = Path(__file__).parents[2] / "schema" / "schema.graphql"


def test_the_printed_schema_is_that_of_the_code() -> None:
    """After a change: `python -c "from eventscope.schema.build import *; print(build())" > schema/schema.graphql`."""
    assert PRINTED.read_text() == build().as_str() + "\n"


def test_the_questions_have_the_names_that_clients_know() -> None:
    schema = build_schema(PRINTED.read_text())
    assert schema.query_type is not None
    assert schema.subscription_type is not None
    questions = {"event", "events", "replay", "aggregate", "aggregates", "stats", "rejectedEvents", "log"}
    assert questions <= set(schema.query_type.fields)
    assert set(schema.query_type.fields["events"].args) == {"filter", "order", "first", "after", "last", "before"}
    assert set(schema.subscription_type.fields["events"].args) == {"filter", "after", "from"}
    feed, start = schema.type_map["EventFeed"], schema.type_map["StartFrom"]
    assert isinstance(feed, GraphQLUnionType)
    assert [type.name for type in feed.types] == ["Event", "CaughtUp", "FellBehind", "RetentionGap", "Checkpoint"]
    assert isinstance(start, GraphQLEnumType)
    assert set(start.values) == {"BEGINNING", "NOW"}


def test_everything_in_the_schema_is_described() -> None:
    schema = build_schema(PRINTED.read_text())
    for type in schema.type_map.values():
        if isinstance(type, GraphQLObjectType) and not type.name.startswith("__"):
            assert type.description, type.name
            for name, field in type.fields.items():
                assert field.description, f"{type.name}.{name}"
