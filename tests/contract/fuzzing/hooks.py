"""What the schemas can't say: a boolean may be spelled as people do, which a fuzzer takes for a violation."""

from __future__ import annotations

from typing import Any

import schemathesis

_SPELLINGS = {"true", "t", "1", "yes", "y", "on", "false", "f", "0", "no", "n", "off"}


def _spelled(values: Any) -> bool:
    return isinstance(values, dict) and any(
        not isinstance(value, bool) and str(value).strip().lower() in _SPELLINGS for value in values.values()
    )


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Leave out requests with such a spelling."""
    return not _spelled(case.body) and not _spelled(case.query)
