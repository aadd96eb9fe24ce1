"""What the schemas can't say, so that a fuzzer takes it for a violation.

A boolean may be spelled as people do; and forms and URLs carry text, so that whatever is sent in a text field is text.
"""

from __future__ import annotations

from typing import Any

import schemathesis

_SPELLINGS = {"true", "t", "1", "yes", "y", "on", "false", "f", "0", "no", "n", "off"}


def _ambiguous(values: Any) -> bool:
    return isinstance(values, dict) and any(
        not isinstance(value, bool)
        and (
            value is None
            or isinstance(value, int | float | list | dict)
            or str(value).strip().lower() in _SPELLINGS
        )
        for value in values.values()
    )


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Leave out requests with such a value."""
    return not _ambiguous(case.body) and not _ambiguous(case.query)
