"""A validation rule: numbers in defaults must be kept exactly, and variables within JSON must have JSON types."""

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

# when the JSON is put together, variables of other types no longer hold what the client sent
OF_JSON: Final = frozenset({"JSON", "String", "Boolean", "Int", "Float", "ID"})


class Exact(ValidationRule):
    """Refuses values that would not be kept exactly as the client wrote them."""

    def enter_variable_definition(self, node: VariableDefinitionNode, *_: Any) -> None:
        """Refuse a default with a number that would be changed."""
        default = node.default_value
        if default is None:
            return
        type = type_from_ast(self.context.schema, node.type)
        if type is None or get_named_type(type).name == "JSON":  # JSON checks its literals itself
            return
        try:
            check_numbers(default, node.variable.name.value)
            if isinstance(default, IntValueNode) and get_named_type(type).name == "Float":
                check_numbers(FloatValueNode(value=f"{default.value}.0"), node.variable.name.value)
        except BadInput as error:
            self.report_error(GraphQLError(str(error), default))

    def leave_operation_definition(self, operation: OperationDefinitionNode, *_: Any) -> None:
        """Refuse variables within objects of JSON literals if their values would differ from what the client sent."""
        types = {}
        for node in operation.variable_definitions or ():
            type = type_from_ast(self.context.schema, node.type)
            if type is not None:
                types[node.variable.name.value] = get_named_type(type).name
        for usage in self.context.get_recursive_variable_usages(operation):
            name = usage.node.name.value
            if usage.type is None and types.get(name, "JSON") not in OF_JSON:
                self.report_error(
                    GraphQLError(f"${name} has the type {types[name]}; within JSON, declare it as JSON", usage.node)
                )
