"""Lists the internals of graphql-core and Strawberry that this folder alone uses, to be checked at the start."""

from typing import Any, Final

import strawberry
from graphql import GraphQLSchema, utilities
from graphql.execution import collect_fields, get_variable_signature, values
from graphql.execution.executor import Executor
from strawberry.schema import schema as strawberry_schema
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.types import ExecutionContext, Info, arguments
from strawberry.types.field import StrawberryField
from strawberry.types.fields.resolver import StrawberryResolver

from eventscope.internals import Internals

STRAWBERRY: Final = "strawberry-graphql"
CORE: Final = "graphql-core"
VALUE: Final = "return_type field_details_list info path result position_context"
EXECUTOR: Final = (
    "schema fragment_definitions fragments root_value context_value operation variable_values field_resolver "
    "type_resolver subscribe_field_resolver enable_early_execution middleware_manager is_awaitable is_async_iterable "
    "hide_suggestions abort_signal hooks"
)
COERCE: Final = (
    "coerced_values node arg_name arg_def argument_node variable_values fragment_variable_values hide_suggestions"
)
COLLECT: Final = (
    "schema fragments variable_values runtime_type operation hide_suggestions forbid_skip_and_include on_selection_set"
)

# without these there is no answer, compiled or not
NEEDED: Final = (
    Internals(
        STRAWBERRY,
        {
            strawberry.Schema: {"process_errors": "errors execution_context"},
            strawberry_schema: {"validate_document": "schema document validation_rules"},
            Info: {"__init__": "_raw_info _field"},
        },
        {strawberry.Schema: "_schema", ExecutionContext: "_provided_operation_name"},
    ),
    Internals(
        CORE,
        {
            Executor: {
                "build_per_event_executor": "payload",
                "execute_collected_root_fields": "root_type root_value grouped_field_set serially new_defer_usages",
                "build_response": "data",
            },
            collect_fields: {"collect_fields": COLLECT},
        },
        {Executor: "build collected_errors is_awaitable"},
    ),
)
# without these, nothing is compiled
COMPILED: Final = (
    Internals(
        STRAWBERRY,
        {
            arguments: {
                "_is_leaf_type": "type_ scalar_registry skip_classes",
                "convert_argument": "value type_ scalar_registry config info path",
            },
            StrawberryField: {"get_result": "source info args kwargs"},
        },
        {StrawberryResolver: "info_parameter self_parameter parent_parameter root_parameter is_async"},
    ),
    Internals(
        CORE,
        {
            Executor: {"__init__": EXECUTOR},
            StrawberryGraphQLCoreExecutionContext: {
                "complete_value": VALUE,
                "complete_awaitable_value": VALUE,
                "execute_fields": "parent_type source_value path grouped_field_set position_context",
                "execute_field": "parent_type source field_details_list path position_context",
                "build_resolve_info": "field_def field_nodes parent_type path",
                "settle_in_background": "awaitables",
                "collect_subfields": "return_type field_details_list",
                "execute_operation": "serially",
            },
            values: {
                "coerce_argument": COERCE,
                "get_variable_values": "schema var_def_nodes inputs max_errors hide_suggestions",
                "input_is_nested_too_deeply": "value type_",
            },
            get_variable_signature: {"get_variable_signature": "schema var_def_node"},
            utilities: {"coerce_input_value": "input_value type_"},
        },
        {Executor: "error_propagation middleware_manager operation variable_values context_value"},
    ),
)


def graphql_schema(schema: strawberry.Schema) -> GraphQLSchema:
    """graphql-core's schema within Strawberry's."""
    return schema._schema


def requested_operation(context: ExecutionContext) -> str | None:
    """The name of the operation as the request has it, where Strawberry's own property would guess."""
    name: Any = context._provided_operation_name
    return None if name is None else str(name)
