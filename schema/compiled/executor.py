"""Executes operations as graphql-core does, with compiled functions in the place of what it would do field by field."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
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

from eventscope.schema.compiled.compiler import Compiler, Complete, Completed, NotCompilable, Part

PLACE: Final = "eventscope_plans"
MOST_PLANS: Final = (
    64  # of one operation: beyond it, as when many variables decide what is skipped, nothing is compiled
)
# a selection is compiled when it is asked for again, or within one answer for an item in a long list: what is asked
# once, and is little, does not pay for it
ASKED: Final = 20
WARM: Final = 2 * ASKED

Key: TypeAlias = tuple[object, ...]


@dataclass(slots=True)
class Plan:
    """What is known of one selection: about how often it was met, and then its function. `nodes` keeps ids valid."""

    nodes: object
    met: int = 0
    compiled: Complete | Part | None = None


@dataclass(slots=True)
class Plans:
    """The compiled functions of one operation; they live as long as its document does."""

    conditions: tuple[str, ...]
    """The variables that decide what is selected."""
    used: Callable[[int], None]
    """Hears how many lines were compiled."""
    known: dict[Key, Plan] = field(default_factory=dict)


def attach(document: DocumentNode, used: Callable[[int], None]) -> None:
    """Let the operations of the document be compiled when they are executed again."""
    conditions = _Conditions()
    visit(document, conditions)
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            # nodes are frozen, but have a dictionary
            definition.__dict__[PLACE] = Plans(tuple(sorted(conditions.names)), used)


def conditions(operation: OperationDefinitionNode) -> tuple[str, ...]:
    """The variables that decide what the operation selects; none where it is not to be compiled."""
    plans: Plans | None = operation.__dict__.get(PLACE)
    return () if plans is None else plans.conditions


class CompiledExecutor(StrawberryGraphQLCoreExecutionContext):
    """One execution of one operation."""

    warm = WARM

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        plans: Plans | None = self.operation.__dict__.get(PLACE)
        watched = self.middleware_manager is not None and self.middleware_manager.middlewares
        self._plans = plans if self.error_propagation and not watched else None
        self._variant: tuple[object, ...] = ()
        self._met: set[Key] = set()
        self._parts: dict[int, tuple[GroupedFieldSet, Plan | None]] = {}
        self.given: Callable[[], Awaitable[Any]] | None = None
        """What the one question at the root has come to, if that is known already: the resolver is not asked again."""
        self.complete_object: Complete | None = None
        """The function for the object at the root, once it was used and gave all of its fields."""
        if plans is not None and plans.conditions:
            given = self.variable_values.coerced
            self._variant = tuple(given.get(name) for name in plans.conditions)

    def complete_value(
        self,
        return_type: GraphQLOutputType,
        field_details_list: FieldDetailsList,
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        """Complete a value by the function for its selection; graphql-core does it where that balks."""
        if result is not None and field_details_list[0].node.selection_set is not None:
            complete = self.compiled(return_type, field_details_list)
            if complete is not None:
                with suppress(Exception):  # what the matter is, graphql-core will say
                    return complete(result, self.context_value)
        return super().complete_value(return_type, field_details_list, info, path, result, position_context)

    def compiled(self, type: GraphQLOutputType, details: FieldDetailsList) -> Complete | None:
        """The function that completes values of the type, if there is one."""
        if self._plans is None:
            return None
        nodes = [one.node for one in details]
        plan = self._plan((type, self._variant, *map(id, nodes)), nodes, lambda compiler: compiler.value(type, details))
        return None if plan is None else plan.compiled  # type: ignore[return-value]  # plans of values are functions

    def known(self, type: GraphQLOutputType, details: FieldDetailsList) -> Complete | None:
        """The same, without counting as another time that the selection is met."""
        if self._plans is None:
            return None
        plan = self._plans.known.get((type, self._variant, *(id(one.node) for one in details)))
        return None if plan is None else plan.compiled  # type: ignore[return-value]  # plans of values are functions

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path | None,
        grouped_field_set: GroupedFieldSet,
        position_context: Any,
    ) -> Any:
        """Execute an object's fields: those that are plain by one function, and each other one as graphql-core does."""
        if path is None:
            return self._execute_root(parent_type, source_value, grouped_field_set, position_context)
        part = self._part(parent_type, grouped_field_set)
        if part is not None:
            try:
                results = part.complete(source_value, self.context_value)
            except Exception:
                part = None
        if part is None:
            return super().execute_fields(parent_type, source_value, path, grouped_field_set, position_context)
        if not part.rest:
            if path.prev is None:
                self.complete_object = part.complete
            return results
        return self._execute_rest(part, results, parent_type, source_value, path, grouped_field_set, position_context)

    def _execute_root(
        self, type: GraphQLObjectType, source_value: Any, fields: GroupedFieldSet, position_context: Any
    ) -> Any:
        if self.given is None or len(fields) != 1:
            return super().execute_fields(type, source_value, None, fields, position_context)
        # as in `execute_field` of the base class for a resolver that has to be awaited
        [(name, details)] = fields.items()
        nodes = [one.node for one in details]
        definition, path = type.fields[nodes[0].name.value], Path(None, name, type.name)
        info = self.build_resolve_info(definition, nodes, type, path)
        completed = self.complete_awaitable_value(definition.type, details, info, path, self.given(), position_context)
        return self._gathered({name: completed}, [name])

    def _execute_rest(
        self,
        part: Part,
        results: Completed,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path | None,
        grouped_field_set: GroupedFieldSet,
        position_context: Any,
    ) -> Any:
        # as in the method of the base class, but for the fields that are there already
        waiting: list[str] = []
        try:
            for name in part.rest:
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
        return self._gathered(results, waiting) if waiting else results

    async def _gathered(self, results: Completed, waiting: list[str]) -> Completed:
        if len(waiting) == 1:
            results[waiting[0]] = await results[waiting[0]]
        else:
            results.update(zip(waiting, await gather_with_cancel(*(results[name] for name in waiting)), strict=True))
        return results

    def _part(self, type: GraphQLObjectType, fields: GroupedFieldSet) -> Part | None:
        if self._plans is None:
            return None
        # graphql-core merges the selections of one place only once an execution, so a list's items share them
        _, plan = self._parts.get(id(fields), (None, None))
        if plan is None:
            nodes = [details.node for merged in fields.values() for details in merged]
            key = (type, self._variant, *map(id, nodes))
            plan = self._plan(key, nodes, lambda compiler: compiler.part(type, fields))
            self._parts[id(fields)] = (fields, plan)
        return plan.compiled if plan is not None else None  # type: ignore[return-value]  # plans of parts are parts

    def _plan(self, key: Key, nodes: object, write: Callable[[Compiler], Complete | Part]) -> Plan | None:
        """The plan for the selection, compiled when it is met often enough; None as long as there is no function."""
        plans = self._plans
        if plans is None:
            return None
        plan = plans.known.get(key)
        if plan is None:
            if len(plans.known) >= MOST_PLANS:
                return None
            plan = plans.known[key] = Plan(nodes)
        if plan.met < self.warm:
            plan.met += 1 if key in self._met else ASKED
            self._met.add(key)
            if plan.met >= self.warm:
                compiler = Compiler(self)
                with suppress(NotCompilable):
                    plan.compiled = write(compiler)
                plans.used(len(compiler.lines))
        return plan if plan.compiled is not None else None


class _Conditions(Visitor):
    """Collects the variables by which `@skip` and `@include` decide."""

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
