"""What is refused before an older function is reached, such as a login, in the older plugins' words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xtended.legacy.envelopes import TOKEN_FAILED, Exchange
from xtended.legacy.translation import Asked

PATHS = ("/rest_api/api", "/admin/rest_api/api")
"""Of the older URLs, relative to the API's own root; Airflow serves them at its own root too."""


def refused(
    status: int, problem: Mapping[str, Any], query: Mapping[str, str], *, token_expected: bool
) -> tuple[int, dict[str, Any]]:
    """Status and body in place of a problem. Where a token is expected, whoever brings nothing lacks that."""
    if status == 401 and token_expected:
        status, problem = 403, {"detail": TOKEN_FAILED}
    arguments = {name: value for name, value in query.items() if name != "api"}
    return status, Exchange(Asked(query.get("api", ""), arguments)).failed(status, problem)
