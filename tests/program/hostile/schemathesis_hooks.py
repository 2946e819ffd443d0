"""What Schemathesis must know to query Eventscope: how scalars are written, and what an answer must never contain.

Its own checks treat every error of a resolver as a fault of the server; here most are the caller's fault, such as an
invalid cursor. So there is one check of our own: the answer is GraphQL's JSON, and no error in it is our fault.
"""

from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, CheckContext, Response
from schemathesis.graphql import nodes, scalar

ALLOWED = {"BAD_USER_INPUT", "PAGE_TOO_LARGE", "QUERY_TOO_COMPLEX", "REJECTED", "VERSION_CONFLICT"}

scalar("BigInt", st.integers(min_value=-(2**64), max_value=2**64).map(nodes.Int))
scalar("DateTime", (st.datetimes().map(lambda time: f"{time.isoformat()}Z") | st.text(max_size=20)).map(nodes.String))
scalar("JSON", st.none().map(lambda _: nodes.Null) | st.integers().map(nodes.Int) | st.text().map(nodes.String))


@schemathesis.check
def answer_is_no_fault_of_ours(context: CheckContext, response: Response, case: Case[Any]) -> None:
    """The answer is JSON in GraphQL's form, and every error in it has a code and is the caller's fault."""
    assert response.status_code == 200, f"status {response.status_code}"
    assert response.headers["content-type"][0].endswith("json; charset=utf-8")
    answer = response.json()
    assert answer.keys() <= {"data", "errors"}
    assert answer.keys()
    codes = {error["extensions"]["code"] for error in answer.get("errors", ())}
    assert codes <= ALLOWED, f"codes {codes - ALLOWED}"
