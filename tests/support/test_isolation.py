"""Tests have the same results whatever the shell exports, and whatever runs in the project's folder."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from eventscope.dev.data_folder import DATA_DIR
from eventscope.settings import Settings
from tests.support.isolation import ROOT, is_foreign

EXPORTED = {
    "EVENTSCOPE_PORT": "1",
    "EVENTSCOPE_MONGO_URL": "mongodb://production.invalid",
    "EVENTSCOPE_NONSENSE": "1",
    "GIT_DIR": "/nowhere",
    "http_proxy": "http://127.0.0.1:1",
    "HTTP_PROXY": "http://127.0.0.1:1",
    "ALL_PROXY": "http://127.0.0.1:1",
    "FORCE_COLOR": "1",
    "COLUMNS": "20",
    "LC_ALL": "C",
    "PYTHONIOENCODING": "ascii",
}


def test_no_exported_variable_of_the_shell_remains() -> None:
    assert not list(filter(is_foreign, os.environ))
    assert Settings() == Settings.model_construct()


def test_the_data_of_this_project_is_not_used() -> None:
    assert not DATA_DIR.exists()
    assert not Path.cwd().is_relative_to(ROOT)


@pytest.mark.processes
async def test_tests_pass_with_all_kinds_of_exported_variables() -> None:
    tests = [f"{__file__}::{test.__name__}" for test in HERE] + [f"{ROOT}/tests/cli/test_main.py"]
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests),
        cwd=ROOT,
        env={**os.environ, **EXPORTED},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said, _ = await run.communicate()
    assert run.returncode == 0, said.decode()[-5000:]


HERE = (test_no_exported_variable_of_the_shell_remains, test_the_data_of_this_project_is_not_used)
