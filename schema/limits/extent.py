"""Measures an operation with its fragments spread, visiting each fragment once however often it is used.

A document of a few hundred bytes can expand to millions of fields: if each fragment spreads the next one twice, their
number doubles at every step. So each fragment is measured once, after those that it spreads, and its extent is added
wherever it is spread.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
)


@dataclass(frozen=True, slots=True)
class Extent:
    """The size of a selection: how deep its fields nest, and how many parts of each kind it has."""

    depth: int = 0
    roots: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0

    def __add__(self, other: "Extent") -> "Extent":
        return Extent(
            max(self.depth, other.depth),
            self.roots + other.roots,
            self.fields + other.fields,
            self.aliases + other.aliases,
            self.directives + other.directives,
        )


NOTHING = Extent()


def extents(document: DocumentNode) -> Sequence[tuple[OperationDefinitionNode, Extent]]:
    """The operations of the document with their extents; takes time linear in the size of the document."""
    fragments: dict[str, Extent] = {}
    for fragment in in_order(document):
        fragments[fragment.name.value] = _of(fragment.selection_set, fragments)
    return [
        (part, Extent(directives=len(part.directives or ())) + _of(part.selection_set, fragments))
        for part in document.definitions
        if isinstance(part, OperationDefinitionNode)
    ]


def in_order(document: DocumentNode) -> list[FragmentDefinitionNode]:
    """The fragments, each after those that it spreads, except within a cycle, which validation refuses."""
    fragments = {part.name.value: part for part in document.definitions if isinstance(part, FragmentDefinitionNode)}
    ordered: dict[str, FragmentDefinitionNode] = {}
    visited: set[str] = set()
    waiting = list(fragments)
    while waiting:
        name = waiting[-1]
        if name in visited:
            ordered.setdefault(name, fragments[waiting.pop()])
        else:
            visited.add(name)
            spreads = set(_spreads(fragments[name].selection_set))
            waiting.extend(other for other in spreads if other in fragments and other not in visited)
    return list(ordered.values())


def _spreads(selections: SelectionSetNode) -> Iterator[str]:
    """The names of the fragments that the selections spread directly."""
    waiting = [selections]
    while waiting:
        for part in waiting.pop().selections:
            if isinstance(part, FragmentSpreadNode):
                yield part.name.value
            elif (inner := _inside(part)) is not None:
                waiting.append(inner)


def _of(selections: SelectionSetNode, fragments: dict[str, Extent]) -> Extent:
    total = NOTHING
    for part in selections.selections:
        if isinstance(part, FragmentSpreadNode):
            extent = fragments.get(part.name.value, NOTHING)
        else:
            inner = _inside(part)
            extent = NOTHING if inner is None else _of(inner, fragments)
        if isinstance(part, FieldNode):
            aliases = extent.aliases + (part.alias is not None)
            extent = Extent(extent.depth + 1, 1, extent.fields + 1, aliases, extent.directives)
        total += extent + Extent(directives=len(part.directives)) if part.directives else extent
    return total


def _inside(part: SelectionNode) -> SelectionSetNode | None:
    inner: SelectionSetNode | None = getattr(part, "selection_set", None)
    return inner
