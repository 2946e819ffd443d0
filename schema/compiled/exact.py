"""A rule for documents: no number in a default is changed, and variables within JSON have types of JSON."""

from typing import Any, Final

from graphql import (
    FloatValueNode,
    GraphQLError,
    IntValueNode,
    OperationDefinitionNode,
    ValidationRule,
    VariableDefinitionNode,
    get_named_type,
    type_from_ast,
)

from eventscope.errors import BadInput
from eventscope.schema.types.scalars import check_numbers

# of other types, what the client sent is not known any more where the JSON is put together
OF_JSON: Final = frozenset({"JSON", "String", "Boolean", "Int", "Float", "ID"})


class Exact(ValidationRule):
    """What a client wrote is kept as it was written, or refused."""

    def enter_variable_definition(self, node: VariableDefinitionNode, *_: Any) -> None:
        """Refuse a default with a number that would be changed."""
        default = node.default_value
        if default is None:
            return
        type = type_from_ast(self.context.schema, node.type)
        if type is None or get_named_type(type).name == "JSON":  # which looks at its literals itself
            return
        try:
            check_numbers(default, node.variable.name.value)
            if isinstance(default, IntValueNode) and get_named_type(type).name == "Float":
                check_numbers(FloatValueNode(value=f"{default.value}.0"), node.variable.name.value)
        except BadInput as error:
            self.report_error(GraphQLError(str(error), default))

    def leave_operation_definition(self, operation: OperationDefinitionNode, *_: Any) -> None:
        """Refuse variables within the objects of JSON literals whose values would not be what the client sent."""
        types = {}
        for node in operation.variable_definitions or ():
            type = type_from_ast(self.context.schema, node.type)
            if type is not None:
                types[node.variable.name.value] = get_named_type(type).name
        for usage in self.context.get_recursive_variable_usages(operation):
            name = usage.node.name.value
            if usage.type is None and types.get(name, "JSON") not in OF_JSON:
                self.report_error(
                    GraphQLError(f"${name} is of type {types[name]}; within JSON, give it the type JSON", usage.node)
                )
