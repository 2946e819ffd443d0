"""Random requests from the real schema: every field and argument, in every form that a document may have."""

import random
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_leaf_type,
)

# what would differ between two moments, whichever way it is executed
MOVING = {"ingestLag", "eventsPerHour", "eventsPerDay", "rate"}
TEXTS = ["user", "vendor", "file", "user.*", "user.created", "u1", "v2", "alice", "c3", "m010", "m299", "nothing", ""]
CURSORS = ["e5", "e64", "e12c", "e5-64", "e0", "a20", "r3", "x", ""]
IDS = ["m001", "m010", "m123", "m250", "u1", "u3", "nothing"]
NUMBERS = [0, 1, 2, 3, 5, 7, 20]
ODD_NUMBERS = [-1, 1000, 1001, 2**31, 2**40]
TIMES = ["2026-03-05T00:00:00Z", "2026-03-20T12:30:00.5+02:00", "2026-03-29"]
WRONG: list[Any] = ["x", 5, 1.5, True, None, [], {}, {"x": 1}, [[1]], 2**70]
DEPTH = 5


@dataclass
class Asking:
    """One request in the making."""

    schema: GraphQLSchema
    dice: random.Random
    variables: dict[str, Any] = field(default_factory=dict)
    declared: list[str] = field(default_factory=list)
    fragments: list[str] = field(default_factory=list)
    fields_left: int = 40
    names: int = 0

    def request(self) -> dict[str, Any]:
        """The body of a request."""
        query = self.schema.query_type
        assert query is not None
        selections = self._selections(query, DEPTH, self.dice.choice([1, 1, 1, 1, 2, 3]))
        name = self._name("Q") if self.dice.random() < 0.4 else ""
        head = f"query {name}" if name or self.declared or self.dice.random() < 0.2 else ""
        declared = f"({', '.join(self.declared)})" if self.declared else ""
        parts = [f"{head}{declared} {selections}", *self.fragments]
        asked: dict[str, Any] = {}
        if name and self._rarely():
            parts.append("query Another { __typename }")
        self.dice.shuffle(parts)
        if name and (len(parts) > 1 or self._rarely()):
            asked["operationName"] = name if self.dice.random() < 0.9 else self.dice.choice(["Other", "Another", None])
        asked["query"] = "\n".join(parts)
        if self.variables or self._rarely():
            asked["variables"] = self.variables
        return asked

    def _rarely(self) -> bool:
        return self.dice.random() < 0.04

    def _name(self, prefix: str) -> str:
        self.names += 1
        return f"{prefix}{self.names}"

    def _selections(self, type: GraphQLObjectType, depth: int, number: int | None = None) -> str:
        composite = [name for name, one in type.fields.items() if not is_leaf_type(get_named_type(one.type))]
        known = [name for name in type.fields if name not in MOVING and (depth > 1 or name not in composite)]
        parts = []
        for _ in range(number or self.dice.randint(1, 6)):
            if self.fields_left <= 0 or not known:
                break
            self.fields_left -= 1
            turn = self.dice.random()
            if turn < 0.06:
                parts.append(self._aliased("__typename") + self._directives())
            elif turn < 0.07:
                parts.append("unknown")
            elif turn < 0.14:
                on = self.dice.choice([f"on {type.name} ", ""])
                parts.append(f"... {on}{self._directives()} {self._selections(type, depth, 2)}")
            elif turn < 0.20:
                fragment = self._name("F")
                self.fragments.append(f"fragment {fragment} on {type.name} {self._selections(type, depth, 3)}")
                parts += [f"...{fragment}{self._directives()}"] * self.dice.choice([1, 1, 2])
            else:
                name = self.dice.choice(known)
                parts.append(self._field(name, type.fields[name], depth))
        return "{ " + (" ".join(parts) or "__typename") + " }"

    def _field(self, name: str, asked: GraphQLField, depth: int) -> str:
        given = [
            f"{argument}: {self._argument(argument, one)}"
            for argument, one in asked.args.items()
            if isinstance(one.type, GraphQLNonNull) or self.dice.random() < (0.6 if argument == "first" else 0.2)
        ]
        arguments = f"({', '.join(given)})" if given else ""
        # without an alias, fields of one name are merged, if their arguments allow it
        head = (name if not given and self.dice.random() < 0.8 else self._aliased(name)) + arguments
        inner = get_named_type(asked.type)
        selected = f" {self._selections(inner, depth - 1)}" if isinstance(inner, GraphQLObjectType) else ""
        return head + self._directives() + selected

    def _aliased(self, name: str) -> str:
        return f"{self._name('a')}: {name}" if self.dice.random() < 0.9 else name

    def _directives(self) -> str:
        if self.dice.random() > 0.1:
            return ""
        condition = self.dice.choice(["true", "false", ""]) or self._variable(GraphQLNonNull(GraphQLBoolean), "if")
        return f" @{self.dice.choice(['skip', 'include'])}(if: {condition})"

    def _argument(self, name: str, argument: GraphQLArgument) -> str:
        if self.dice.random() < 0.5:
            return self._variable(argument.type, name)
        return _literal(self._value(argument.type, name), argument.type)

    def _variable(self, type: GraphQLInputType, hint: str) -> str:
        name = self._name("v")
        default = ""
        if not isinstance(type, GraphQLNonNull) and self.dice.random() < 0.2:
            default = f" = {_literal(self._value(type, hint), type)}"
        self.declared.append(f"${name}: {type}{default}")
        if self.dice.random() < 0.9 or (isinstance(type, GraphQLNonNull) and not self._rarely()):
            self.variables[name] = self.dice.choice(WRONG) if self._rarely() else self._value(type, hint)
        return f"${name}"

    def _value(self, type: GraphQLInputType, hint: str, depth: int = 2) -> Any:
        if isinstance(type, GraphQLNonNull):
            return self._value(type.of_type, hint, depth)
        if self._rarely():
            return None
        if isinstance(type, GraphQLList):
            return [self._value(type.of_type, hint, depth) for _ in range(self.dice.randint(0, 3))]
        if isinstance(type, GraphQLEnumType):
            return self.dice.choice(list(type.values))
        if isinstance(type, GraphQLInputObjectType):
            chosen = self.dice.sample(list(type.fields), self.dice.randint(0, 2)) if depth else []
            required = [name for name, one in type.fields.items() if isinstance(one.type, GraphQLNonNull)]
            return {
                name: self._value(type.fields[name].type, name, depth - 1) for name in dict.fromkeys(required + chosen)
            }
        return self._leaf(get_named_type(type).name, hint)

    def _leaf(self, type: str, hint: str) -> Any:
        if type in ("Int", "BigInt", "Float"):
            return self.dice.choice(ODD_NUMBERS if self.dice.random() < 0.05 else NUMBERS)
        if type == "Boolean":
            return self.dice.random() < 0.5
        if type == "DateTime":
            return self.dice.choice(TIMES if self.dice.random() < 0.95 else TEXTS)
        if hint in ("after", "before", "upTo"):
            return self.dice.choice(CURSORS)
        if hint in ("id", "ids"):
            return self.dice.choice(IDS)
        if type == "JSON":
            return self.dice.choice([5, "Ada", True, 2.5])
        return self.dice.choice(TEXTS if hint != "path" else ["n", "name", "nested.list", "nothing"])


def _literal(value: Any, type: GraphQLInputType) -> str:
    inner = type.of_type if isinstance(type, GraphQLNonNull) else type
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return value if isinstance(inner, GraphQLEnumType) else '"' + value + '"'
        case list():
            item = inner.of_type if isinstance(inner, GraphQLList) else inner
            return "[" + ", ".join(_literal(one, item) for one in value) + "]"
        case dict() if isinstance(inner, GraphQLInputObjectType):
            return (
                "{"
                + ", ".join(f"{name}: {_literal(one, inner.fields[name].type)}" for name, one in value.items())
                + "}"
            )
        case _:
            return str(value)
