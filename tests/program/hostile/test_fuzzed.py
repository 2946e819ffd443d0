"""Whatever the schema allows is answered: Schemathesis sends random requests for every query and mutation."""

import asyncio
import os
import sys
from pathlib import Path

from eventscope.settings import Settings
from eventscope.store.log import Log
from tests.support.api_server import running_api

ROOT = Path(__file__).parents[3]
EXAMPLES = int(os.environ.get("FUZZED_EXAMPLES", "200"))  # of each field of Query and Mutation
SEED = 1
HOOKS = "tests.program.hostile.schemathesis_hooks"
OURS = "answer_is_no_fault_of_ours"  # the check among the hooks


async def test_no_query_of_the_schema_causes_a_fault_of_ours(
    settings: Settings, log: Log, ingesting: None, tmp_path: Path
) -> None:
    async with running_api(settings) as api:
        fields = await api.ask("{ __schema { queryType { fields { name } } mutationType { fields { name } } } }")
        run = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{api.http.base_url}/graphql", "--no-color"),
            *("--checks", OURS, "--max-examples", str(EXAMPLES), "--seed", str(SEED), "--generation-database", "none"),
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "SCHEMATHESIS_HOOKS": "tests.program.hostile.schemathesis_hooks",
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await run.communicate()
    told = said.decode()
    assert run.returncode == 0, told[-5000:]
    n = sum(len(type["fields"]) for type in fields["__schema"].values())
    assert f"Tested: {n}" in told
    assert f"{n * EXAMPLES} generated, {n * EXAMPLES} passed" in told
