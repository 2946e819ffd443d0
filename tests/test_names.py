"""One word for one thing: no two public types of the program share a name."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("eventscope", "resolvers", "schema", "store", "subscriptions")


def public_types(file: Path) -> Iterator[str]:
    """The names of classes and type aliases, at any level of the module."""
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.ClassDef(name=name):
                pass
            case ast.AnnAssign(target=ast.Name(id=name), annotation=ast.Name(id="TypeAlias")):
                pass
            case _:
                continue
        if not name.startswith("_"):
            yield name


def test_no_two_public_types_share_a_name() -> None:
    """The exception: a record of the client has the name of its GraphQL type."""
    homes: dict[str, set[str]] = defaultdict(set)
    twice: set[str] = set()
    for file in {file.resolve() for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")}:
        path = file.relative_to(ROOT).as_posix()
        kind = "client" if path.startswith("eventscope/client/") else path.partition("/")[0]
        for name in public_types(file):
            if kind in homes[name] or (homes[name] and homes[name] | {kind} != {"client", "schema"}):
                twice.add(name)
            homes[name].add(kind)
    assert len(homes) > 400
    assert twice == set()
