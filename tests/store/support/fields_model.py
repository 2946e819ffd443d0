"""What the catalogue should say about fields, in plain Python over a list of events."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from eventscope.store.catalogue.fields import FieldCounts
from eventscope.store.values.documents import EventDocument

KINDS = {dict: "OBJECT", list: "ARRAY", str: "STRING", bool: "BOOLEAN", type(None): "NULL"}


@dataclass
class Field:
    """One field, counted in plain Python."""

    positions: list[int] = field(default_factory=list)
    types: dict[str, int] = field(default_factory=dict)


def kind(value: object) -> str:
    return KINDS.get(type(value), "NUMBER")


def paths(value: Any, path: str = "") -> Iterable[tuple[str, str]]:
    """All fields with their JSON types, some of them several times."""
    if isinstance(value, dict):
        for name, member in value.items():
            escaped = name.replace("\\", "\\\\").replace(".", "\\.").replace("[", "\\[")
            below = path + escaped
            yield below, kind(member)
            yield from paths(member, below + "." if isinstance(member, dict) else below)
    elif isinstance(value, list):
        for member in value:
            yield path + "[]", kind(member)
            yield from paths(member, path + "[]" + ("." if isinstance(member, dict) else ""))


def recounted(events: Iterable[EventDocument]) -> dict[str, dict[str, Field]]:
    types: dict[str, dict[str, Field]] = {}
    for e in events:
        fields = types.setdefault(e["type"], {})
        if "data" in e:
            data = e["data"]
            own = {} if isinstance(data, dict) else {("", kind(data)): None}
            pairs = list(dict.fromkeys([*own, *paths(data)]))
            for path in dict.fromkeys(path for path, _ in pairs):
                fields.setdefault(path, Field()).positions.append(e["_id"])
            for path, of in pairs:
                seen = fields[path].types
                seen[of] = seen.get(of, 0) + 1
    return types


def as_recounted(fields: FieldCounts) -> dict[str, Any]:
    return {path: (one.count, one.first, one.last, one.types) for path, one in fields.occurrences.items()}


def as_document(fields: Mapping[str, Field]) -> dict[str, Any]:
    return {path: (len(f.positions), f.positions[0], f.positions[-1], f.types) for path, f in fields.items()}
