"""The statements in the docs are true: commands exist, links lead somewhere, examples run."""

import asyncio
import re
import sys
import tomllib
from pathlib import Path

import nats
import pytest
from graphql import build_schema, parse, validate
from typer.testing import CliRunner

from eventscope.cli.main import app
from eventscope.subscriptions.nats import stream

ROOT = Path(__file__).parents[2]
TOP = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
PAGES = [*(ROOT / name for name in TOP), *sorted((ROOT / "docs").rglob("*.md"))]
FOLDERS = "eventscope|resolvers|schema|store|subscriptions|tests|benchmarks|docs"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 150


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/proving.md"])
def test_every_file_and_folder_that_a_guide_for_maintainers_names_exists(page: str) -> None:
    named = set(re.findall(rf"`((?:{FOLDERS})/[\w./-]+)`", (ROOT / page).read_text()))
    missing = {name for name in named if not (ROOT / name).exists() and not (ROOT / f"{name}.py").exists()}
    assert {name for name in missing if "NAME" not in name} == set()


def test_every_name_in_the_guide_for_contributors_is_in_the_source() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text().partition("## Where to look")[2].partition("## Commits")[0]
    sources = [file for folder in FOLDERS.split("|") for file in (ROOT / folder).rglob("*.py")]
    words = set(re.findall(r"\w+", " ".join(file.read_text() for file in sources)))
    named = set(re.findall(r"`([A-Za-z_]+)(?:\([^`]*\))?`", guide))
    assert named - words - {"tenantId"} == set()  # the example of a new field


def test_the_drawing_of_rooms_has_the_layers_that_import_linter_enforces() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    drawing = " ".join((ROOT / "docs/architecture.md").read_text().split())
    for contract in settings["contracts"]:
        if "containers" in contract:
            assert " → ".join(contract["layers"]) in drawing


def test_every_make_command_of_the_readme_exists() -> None:
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"run", "test"} <= named <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_eventscope_command_in_the_docs_exists(page: Path) -> None:
    named = set(re.findall(r"`eventscope ([a-z]+)", page.read_text()))
    help = CliRunner().invoke(app, ["--help"]).stdout
    assert {command for command in named if not re.search(rf"\b{command}\b", help)} == set()


async def test_the_complete_example_of_publishing_runs(nats_url: str, stream_name: str, tmp_path: Path) -> None:
    [example] = [code for code in _blocks("python", ROOT / "docs/publishing.md") if "asyncio.run" in code]
    client = await nats.connect(nats_url)
    # on a subject of its own, since other tests run beside it
    await stream.ensure(client.jetstream(), stream_name, [f"{stream_name}.>"])
    await client.close()
    program = tmp_path / "example.py"
    program.write_text(example.replace("nats://127.0.0.1:4222", nats_url).replace('"events.', f'"{stream_name}.'))
    run = await asyncio.create_subprocess_exec(sys.executable, program, stdout=asyncio.subprocess.PIPE)
    said, _ = await run.communicate()
    assert said.decode().split() == [stream_name, "1"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_query_in_the_docs_is_valid(page: Path) -> None:
    schema = build_schema((ROOT / "schema/schema.graphql").read_text())
    assert [error for block in _blocks("graphql", page) for error in validate(schema, parse(block))] == []


def _blocks(language: str, page: Path) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)
