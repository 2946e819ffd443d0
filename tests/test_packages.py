"""The installed packages are those in the folders: setuptools gets a list, and omits what is not in it."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_each_folder_of_the_program_is_listed_as_a_package() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    # the four folders beside it are links in eventscope/, which a recursive glob does not follow
    folders = [ROOT / "eventscope", *(path for path in (ROOT / "eventscope").iterdir() if path.is_symlink())]
    files = [file.relative_to(ROOT) for folder in folders for file in folder.resolve().rglob("__init__.py")]
    names = {".".join(file.parent.parts) for file in files}
    assert sorted(listed) == sorted(
        name if name.split(".")[0] == "eventscope" else f"eventscope.{name}" for name in names
    )
