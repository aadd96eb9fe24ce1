"""What the schemas can't say: a boolean may be spelled as people do, which a fuzzer takes for a violation."""

from __future__ import annotations

from typing import Any

import schemathesis

_SPELLINGS = {"true", "t", "1", "yes", "y", "on", "false", "f", "0", "no", "n", "off"}


def _spelled(value: Any) -> bool:
    return not isinstance(value, bool) and str(value).strip().lower() in _SPELLINGS


@schemathesis.hook
def filter_body(context: Any, body: Any) -> bool:
    """Leave out forms with such a spelling."""
    return not isinstance(body, dict) or not any(_spelled(value) for value in body.values())


@schemathesis.hook
def filter_query(context: Any, query: Any) -> bool:
    """Leave out queries with such a spelling."""
    return not isinstance(query, dict) or not any(_spelled(value) for value in query.values())
