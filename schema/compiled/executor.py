"""Executes operations as graphql-core does, but completes values by compiled functions instead of field by field.

A compiled function that raises has changed nothing, so graphql-core then completes the same value from the start.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from graphql import (
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    OperationDefinitionNode,
    Undefined,
    VariableNode,
    Visitor,
    visit,
)
from graphql.execution.collect_fields import FieldDetailsList, GroupedFieldSet
from graphql.language import DirectiveNode, DocumentNode
from graphql.pyutils import Path, gather_with_cancel
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from eventscope.schema.compiled.compiler import (
    CompiledFields,
    Compiler,
    Complete,
    Completed,
    NotCompilable,
    TooLarge,
)
from eventscope.schema.compiled.fallbacks import TOO_LARGE, TOO_MANY_VARIANTS, Fallbacks

PLANS: Final = "eventscope_plans"
MOST_SELECTIONS: Final = 64  # for one operation; functions multiply when many variables decide what is skipped
# A selection is compiled in the second request for it, or within one request for a later item of a long list: a small
# selection that is requested once is not worth compiling. So a request counts as much as this many items.
REQUEST: Final = 20
WARM: Final = 2 * REQUEST

SelectionKey: TypeAlias = tuple[object, ...]


@dataclass(slots=True)
class SelectionPlan:
    """One selection: the `count` of its uses, with requests weighted, and its function once there is one.

    `nodes` keeps alive the nodes whose `id()` is in the selection's key.
    """

    nodes: object
    count: int = 0
    function: Complete | CompiledFields | None = None


@dataclass(slots=True)
class OperationPlans:
    """The compiled functions of one operation; they live as long as its document does."""

    conditions: tuple[str, ...]
    """The variables that decide what is selected."""
    on_compiled: Callable[[int], None]
    """Called with the number of lines that were compiled."""
    fallbacks: Fallbacks
    selections: dict[SelectionKey, SelectionPlan] = field(default_factory=dict)


def attach(document: DocumentNode, on_compiled: Callable[[int], None], fallbacks: Fallbacks) -> None:
    """Let the operations of the document be compiled when they are executed again."""
    conditions = _Conditions()
    visit(document, conditions)
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            # nodes are frozen, but have a dictionary
            definition.__dict__[PLANS] = OperationPlans(tuple(sorted(conditions.names)), on_compiled, fallbacks)


def conditions(operation: OperationDefinitionNode) -> tuple[str, ...]:
    """The variables that decide what the operation selects; none if it is not to be compiled."""
    plans: OperationPlans | None = operation.__dict__.get(PLANS)
    return () if plans is None else plans.conditions


class CompiledExecutor(StrawberryGraphQLCoreExecutionContext):
    """One execution of one operation."""

    warm = WARM

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        plans: OperationPlans | None = self.operation.__dict__.get(PLANS)
        has_middleware = self.middleware_manager is not None and self.middleware_manager.middlewares
        self._plans = plans if self.error_propagation and not has_middleware else None
        self._variant: tuple[object, ...] = ()
        self._selection_keys: set[SelectionKey] = set()
        self._fields: dict[int, tuple[GroupedFieldSet, SelectionPlan | None]] = {}
        self._reported: frozenset[str] = frozenset()
        self.root_result: Callable[[], Awaitable[Any]] | None = None
        """If set, the resolver of the one root field has been called: this returns or raises what the resolver did."""
        self.complete_object: Complete | None = None
        """The function for the root object, once it has completed all of its fields."""
        if plans is not None and plans.conditions:
            variables = self.variable_values.coerced
            self._variant = tuple(variables.get(name) for name in plans.conditions)

    def complete_value(
        self,
        return_type: GraphQLOutputType,
        field_details_list: FieldDetailsList,
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        """Complete a value by the function for its selection, or as graphql-core does if that raises."""
        if result is not None and field_details_list[0].node.selection_set is not None:
            complete = self.completer(return_type, field_details_list)
            if complete is not None:
                try:
                    return complete(result, self.context_value)
                # any error, since graphql-core completes the same value below and reports what is wrong with it
                except Exception as error:
                    self._fall_back(error)
        return super().complete_value(return_type, field_details_list, info, path, result, position_context)

    def completer(self, type: GraphQLOutputType, details: FieldDetailsList) -> Complete | None:
        """The function that completes values of the type; None if there is none (yet)."""
        if self._plans is None:
            return None
        nodes = [one.node for one in details]
        plan = self._plan((type, self._variant, *map(id, nodes)), nodes, lambda compiler: compiler.value(type, details))
        return None if plan is None else plan.function  # type: ignore[return-value]  # plans of values are functions

    def ready_completer(self, type: GraphQLOutputType, details: FieldDetailsList) -> Complete | None:
        """The same, without counting this call as another use of the selection."""
        if self._plans is None:
            return None
        plan = self._plans.selections.get((type, self._variant, *(id(one.node) for one in details)))
        return None if plan is None else plan.function  # type: ignore[return-value]  # plans of values are functions

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path | None,
        grouped_field_set: GroupedFieldSet,
        position_context: Any,
    ) -> Any:
        """Execute an object's fields: the plain ones by one function, the others as graphql-core does."""
        if path is None:
            return self._execute_root(parent_type, source_value, grouped_field_set, position_context)
        fields = self._compiled_fields(parent_type, grouped_field_set)
        if fields is not None:
            try:
                results = fields.complete(source_value, self.context_value)
            # any error, since graphql-core executes the same fields below and reports what is wrong with them
            except Exception as error:
                self._fall_back(error)
                fields = None
        if fields is None:
            return super().execute_fields(parent_type, source_value, path, grouped_field_set, position_context)
        if not fields.rest:
            if path.prev is None:
                self.complete_object = fields.complete
            return results
        return self._execute_rest(fields, results, parent_type, source_value, path, grouped_field_set, position_context)

    def _execute_root(
        self, type: GraphQLObjectType, source_value: Any, fields: GroupedFieldSet, position_context: Any
    ) -> Any:
        if self.root_result is None or len(fields) != 1:
            return super().execute_fields(type, source_value, None, fields, position_context)
        # as `execute_field` of the base class does it for a resolver that has to be awaited
        [(name, details)] = fields.items()
        nodes = [one.node for one in details]
        definition, path = type.fields[nodes[0].name.value], Path(None, name, type.name)
        info = self.build_resolve_info(definition, nodes, type, path)
        completed = self.complete_awaitable_value(
            definition.type, details, info, path, self.root_result(), position_context
        )
        return self._gather({name: completed}, [name])

    def _execute_rest(
        self,
        compiled: CompiledFields,
        results: Completed,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path | None,
        grouped_field_set: GroupedFieldSet,
        position_context: Any,
    ) -> Any:
        # as `execute_fields` of the base class does it, without the fields that are already complete
        waiting: list[str] = []
        try:
            for name in compiled.rest:
                result = self.execute_field(
                    parent_type,
                    source_value,
                    grouped_field_set[name],
                    Path(path, name, parent_type.name),
                    position_context,
                )
                if result is Undefined:
                    del results[name]
                    continue
                results[name] = result
                if self.is_awaitable(result):
                    waiting.append(name)
        except Exception:
            if waiting:
                self.settle_in_background([results[name] for name in waiting])
            raise
        return self._gather(results, waiting) if waiting else results

    async def _gather(self, results: Completed, waiting: list[str]) -> Completed:
        if len(waiting) == 1:
            results[waiting[0]] = await results[waiting[0]]
        else:
            results.update(zip(waiting, await gather_with_cancel(*(results[name] for name in waiting)), strict=True))
        return results

    def _compiled_fields(self, type: GraphQLObjectType, fields: GroupedFieldSet) -> CompiledFields | None:
        if self._plans is None:
            return None
        # graphql-core merges the selections of one place once per execution, so all items of a list share them
        _, plan = self._fields.get(id(fields), (None, None))
        if plan is None:
            nodes = [details.node for merged in fields.values() for details in merged]
            key = (type, self._variant, *map(id, nodes))
            plan = self._plan(key, nodes, lambda compiler: compiler.fields(type, fields))
            self._fields[id(fields)] = (fields, plan)
        return plan.function if plan is not None else None  # type: ignore[return-value]  # these are of fields

    def _plan(
        self, key: SelectionKey, nodes: object, write: Callable[[Compiler], Complete | CompiledFields]
    ) -> SelectionPlan | None:
        """The plan for the selection, compiled once it has been met often enough; None until there is a function."""
        plans = self._plans
        if plans is None:
            return None
        plan = plans.selections.get(key)
        if plan is None:
            if len(plans.selections) >= MOST_SELECTIONS:
                self._report(plans, TOO_MANY_VARIANTS)
                return None
            plan = plans.selections[key] = SelectionPlan(nodes)
        if plan.count < self.warm:
            plan.count += 1 if key in self._selection_keys else REQUEST
            self._selection_keys.add(key)
            if plan.count >= self.warm:
                compiler = Compiler(self)
                try:
                    plan.function = write(compiler)
                except TooLarge:
                    self._report(plans, TOO_LARGE)
                except NotCompilable:
                    pass  # it has fields with resolvers; objects within it may be compiled by themselves
                plans.on_compiled(len(compiler.lines))
        return plan if plan.function is not None else None

    def _fall_back(self, error: Exception) -> None:
        if self._plans is not None:
            self._report(self._plans, self._plans.fallbacks.reason(error))

    def _report(self, plans: OperationPlans, reason: str) -> None:
        # once per execution: after a function for a list has failed, those for its items often fail too
        if reason not in self._reported:
            self._reported |= {reason}
            plans.fallbacks.report(reason)


class _Conditions(Visitor):
    """Collects the variables that `@skip` and `@include` depend on."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_directive(self, node: DirectiveNode, *_: object) -> None:
        if node.name.value in ("skip", "include"):
            self.names.update(
                argument.value.name.value
                for argument in node.arguments or ()
                if isinstance(argument.value, VariableNode)
            )
