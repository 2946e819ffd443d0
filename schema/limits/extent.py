"""How large an operation is once its fragments are spread, with each fragment looked at once however often it is used.

A document of a few hundred bytes can stand for millions of fields: fragments that spread the next one twice double at
every step. So a fragment is measured alone, after those that it spreads, and what is found is added up from then on.
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
    """What a selection amounts to: how deep its fields nest, and how many there are of what."""

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
    """The operations of the document and how large they are; linear in the size of the document."""
    known: dict[str, Extent] = {}
    for fragment in in_order(document):
        known[fragment.name.value] = _of(fragment.selection_set, known)
    return [
        (part, Extent(directives=len(part.directives or ())) + _of(part.selection_set, known))
        for part in document.definitions
        if isinstance(part, OperationDefinitionNode)
    ]


def in_order(document: DocumentNode) -> list[FragmentDefinitionNode]:
    """The fragments, each after those that it spreads. Of a circle, which validation refuses, one comes too early."""
    fragments = {part.name.value: part for part in document.definitions if isinstance(part, FragmentDefinitionNode)}
    done: dict[str, FragmentDefinitionNode] = {}
    begun: set[str] = set()
    waiting = list(fragments)
    while waiting:
        name = waiting[-1]
        if name in begun:
            done.setdefault(name, fragments[waiting.pop()])
        else:
            begun.add(name)
            spread = set(_spread(fragments[name].selection_set))
            waiting.extend(other for other in spread if other in fragments and other not in begun)
    return list(done.values())


def _spread(selections: SelectionSetNode) -> Iterator[str]:
    """The names of the fragments that are spread in there, not counting what those spread."""
    waiting = [selections]
    while waiting:
        for part in waiting.pop().selections:
            if isinstance(part, FragmentSpreadNode):
                yield part.name.value
            elif (inner := _inside(part)) is not None:
                waiting.append(inner)


def _of(selections: SelectionSetNode, known: dict[str, Extent]) -> Extent:
    total = NOTHING
    for part in selections.selections:
        if isinstance(part, FragmentSpreadNode):
            found = known.get(part.name.value, NOTHING)
        else:
            inner = _inside(part)
            found = NOTHING if inner is None else _of(inner, known)
        if isinstance(part, FieldNode):
            aliases = found.aliases + (part.alias is not None)
            found = Extent(found.depth + 1, 1, found.fields + 1, aliases, found.directives)
        total += found + Extent(directives=len(part.directives)) if part.directives else found
    return total


def _inside(part: SelectionNode) -> SelectionSetNode | None:
    inner: SelectionSetNode | None = getattr(part, "selection_set", None)
    return inner
