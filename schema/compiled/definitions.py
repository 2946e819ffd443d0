"""Strawberry's definitions of graphql-core's types and fields, as far as the compiler needs them."""

from graphql import GraphQLField, GraphQLObjectType
from strawberry.types.field import StrawberryField

from eventscope.schema import sources


def plain_field(core_field: GraphQLField) -> StrawberryField | None:
    """Strawberry's definition of the field, if only `sources.read` reads it."""
    definition = core_field.extensions.get("strawberry-definition")
    is_plain = (
        isinstance(definition, StrawberryField)
        and definition.is_basic_field
        and definition.default_resolver is sources.read
        and type(definition).get_result is StrawberryField.get_result
        and not core_field.args
        and definition.python_name.isidentifier()
    )
    return definition if is_plain else None


def origin(type: GraphQLObjectType) -> type | None:
    """The Python class that the type was made from; the generic class if it is generic."""
    definition = type.extensions.get("strawberry-definition")
    generic = getattr(definition, "concrete_of", None) or definition
    return getattr(generic, "origin", None)


def source_class(type: GraphQLObjectType) -> type | None:
    """The class of all sources of the type, if it is known."""
    return getattr(origin(type), "source", None)
