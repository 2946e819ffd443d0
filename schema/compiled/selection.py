"""Which fields of the stored documents a selection of events needs, so that no others are read and decoded.

Fields under `@skip` and `@include` count as selected, so that the answer does not depend on variables and is worked
out once for each place in a document.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

from graphql import FieldNode, FragmentDefinitionNode, FragmentSpreadNode, InlineFragmentNode, SelectionSetNode

from eventscope.schema.context import Info
from eventscope.schema.sources import KEYS

FIELDS: Final = "eventscope_fields"
# in connections and edges, what leads to the event
STEPS: Final = frozenset({"edges", "nodes", "node"})
# what needs no more than the position, which is always read
FREE: Final = frozenset({"__typename", "position", "cursor", "pageInfo", "totalCount", "coverage"})
OWN: Final = frozenset({"type", "timestamp", "version", "data", "metadata", "extensions"})
NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    **{key: (key,) for key in (*OWN, *KEYS.values())},
    "id": ("messageId",),
    "expiresAt": ("expireAt",),
    "aggregate": ("aggregateType", "aggregateId"),
    "cause": ("causationId",),
    "effects": ("messageId",),
    "related": ("correlationId",),
}


class SelectionInfo(Info):
    """The `Info` that the schema is built with, so that resolvers can ask which fields of documents they need."""

    def document_fields(self) -> tuple[str, ...] | None:
        """The fields of documents that the field's selection needs; None when it may need all."""
        raw = self._raw_info
        node: FieldNode = raw.field_nodes[0]
        if len(raw.field_nodes) > 1:
            return _stored_fields(raw.field_nodes, raw.fragments)
        # nodes are frozen, but have a dictionary, and live as long as their document
        fields: Any = node.__dict__.get(FIELDS, ...)
        if fields is ...:
            fields = node.__dict__[FIELDS] = _stored_fields(raw.field_nodes, raw.fragments)
        return cast("tuple[str, ...] | None", fields)


def _stored_fields(nodes: list[FieldNode], fragments: Mapping[str, FragmentDefinitionNode]) -> tuple[str, ...] | None:
    fields: set[str] = set()
    for node in nodes:
        if node.selection_set is not None and not _collect(node.selection_set, fragments, fields, set()):
            return None
    return tuple(sorted(fields))


def _collect(
    selections: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode], fields: set[str], visited: set[str]
) -> bool:
    """Add what the selections need; False when that is not known."""
    for part in selections.selections:
        inner: SelectionSetNode | None = None
        if isinstance(part, FragmentSpreadNode):
            name = part.name.value
            inner = None if name in visited else fragments[name].selection_set
            visited.add(name)
        elif isinstance(part, InlineFragmentNode) or (isinstance(part, FieldNode) and part.name.value in STEPS):
            inner = part.selection_set
        elif isinstance(part, FieldNode) and part.name.value in NEEDED:
            fields.update(NEEDED[part.name.value])
        elif not isinstance(part, FieldNode) or part.name.value not in FREE:
            return False
        if inner is not None and not _collect(inner, fragments, fields, visited):
            return False
    return True
