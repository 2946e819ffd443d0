"""Small documents that would cause a great deal of work, as an attacker would send them."""

from collections.abc import Callable, Mapping


def _doubling(steps: int, width: int, type: str, inner: str, spread: str) -> str:
    """Fragments that each spread the next one this many times."""
    fragments = "".join(f"fragment F{n} on {type}{{{' '.join([spread.format(n + 1)] * width)}}}" for n in range(steps))
    return fragments + f"fragment F{steps} on {type}{{{inner}}}"


def fragments(steps: int, width: int = 2) -> str:
    """`width` to the power of `steps` fields, without aliases and without depth."""
    return "{...F0}" + _doubling(steps, width, "Query", "__typename", "...F{}")


def introspection(steps: int) -> str:
    """The same as an introspection query."""
    return "{__schema{...F0}}" + _doubling(steps, 2, "__Schema", "description", "...F{}")


def merged(steps: int) -> str:
    """The same with fields that must be compared with each other to be merged."""
    return '{event(id:"x"){...F0}}' + _doubling(steps, 3, "Event", "id", "cause{{...F{}}}")


def aliased(steps: int) -> str:
    """Three to the power of `steps` events to read."""
    spread = " ".join(f"{name}:cause{{{{...F{{0}}}}}}" for name in "abc")
    return '{event(id:"x"){...F0}}' + _doubling(steps, 1, "Event", "id", spread)


def multiplied(steps: int) -> str:
    """Lists within lists: a thousand to the power of `steps` entries."""
    return "{" + "events(first:1000){nodes{aggregate{" * steps + "id" + "}}}" * steps + "}"


def circles(n: int) -> str:
    """Fragments that all spread each other, around introspection fields."""
    each = (f"fragment F{i} on __Schema{{" + " ".join(f"...F{j}" for j in range(n) if i != j) + "}" for i in range(n))
    return "{__schema{...F0}}" + "".join(each)


def looped(steps: int) -> str:
    """An introspection query for the types of the fields of the types of the fields …"""
    return "{__schema{types{" + "fields{type{" * steps + "name" + "}}" * steps + "}}}"


def repeated(n: int) -> str:
    """One field over and over."""
    return "{log{" + "head " * n + "}}"


def renamed(n: int) -> str:
    """One root field over and over, under different aliases."""
    return "{" + " ".join(f"a{i}:stats{{totalEvents}}" for i in range(n)) + "}"


def directed(n: int) -> str:
    """A field with one directive over and over."""
    return "{log{head" + " @include(if:true)" * n + "}}"


BOMBS: Mapping[str, tuple[Callable[[int], str], int]] = {
    "fragments, 2^22": (fragments, 22),
    "fragments, 5^9": (lambda steps: fragments(steps, 5), 9),
    "fragments, 2^60": (fragments, 60),
    "fragments about the schema, 2^60": (introspection, 60),
    "fields to merge, 3^50": (merged, 50),
    "aliases, 3^9": (aliased, 9),
    "lists in lists, 1000^4": (multiplied, 4),
    "circles of 30": (circles, 30),
    "a schema in itself": (looped, 3),
    "one field 1,900 times": (repeated, 1900),
    "one question 300 times": (renamed, 300),
    "a directive 300 times": (directed, 300),
    "too long to read": (renamed, 8000),
}
"""The functions that make documents, and the size passed to each."""
