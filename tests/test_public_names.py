"""The public Python API: the names that `eventscope` exports, and what importing them loads."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import eventscope
from eventscope import errors
from eventscope.client import event, filters, service, subscription

ROOT = Path(__file__).parents[1]
SERVER_LIBRARIES = {
    "graphql",
    "motor",
    "prometheus_client",
    "pymongo",
    "starlette",
    "strawberry",
    "typer",
    "uvicorn",
}


def loaded_by(statement: str) -> set[str]:
    """The top-level packages that a new process has loaded after that statement."""
    code = f"{statement}; import sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    process = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(process.stdout.split())


@pytest.mark.processes
def test_importing_all_public_names_loads_no_library_of_the_server() -> None:
    loaded = loaded_by("from eventscope import *; EventsService, VersionConflict")
    assert {"eventscope", "httpx", "nats"} <= loaded
    assert not loaded & SERVER_LIBRARIES


@pytest.mark.processes
def test_the_program_does_not_load_what_only_services_need() -> None:
    assert "httpx" not in loaded_by("import eventscope.store.log")
    assert "httpx" not in loaded_by("import eventscope.app")
    assert "nats" not in loaded_by("from eventscope import VersionConflict")


def test_each_public_name_is_the_object_that_the_client_or_the_errors_define() -> None:
    for name in eventscope.__all__:
        homes = [module for module in (event, filters, service, subscription, errors) if hasattr(module, name)]
        assert {id(getattr(module, name)) for module in homes} == {id(getattr(eventscope, name))}, name


def test_editors_find_the_public_names_and_no_others() -> None:
    assert set(eventscope.__all__) <= set(dir(eventscope))

    with pytest.raises(AttributeError, match="module 'eventscope' has no attribute 'Nothing'"):
        eventscope.Nothing  # type: ignore[attr-defined]  # noqa: B018


def test_the_errors_that_the_client_raises_are_public() -> None:
    """Its modules import the errors that they raise; it translates CannotStart, except for an unsupported proxy."""
    raised = {
        name
        for module in (event, filters, service, subscription)
        for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, errors.EventscopeError)
    }
    assert raised - {"CannotStart"} <= set(eventscope.__all__)


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{name}.md" for name in ("publishing", "migrating", "live"))])
def test_guides_import_only_public_names(page: str) -> None:
    lines = (ROOT / page).read_text().splitlines()
    imports = [line for line in lines if line.startswith(("from eventscope", "import eventscope"))]
    assert all(line.startswith("from eventscope import ") for line in imports), imports
