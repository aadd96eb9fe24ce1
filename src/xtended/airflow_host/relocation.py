"""Makes what was parsed in a shadow of the DAG folder read as though it had been parsed in the DAG folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar, cast

_Json = TypeVar("_Json")


class Relocation:
    """Replaces paths, and dotted names of modules, in every string of a JSON-able value."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = {old: new for old, new in names.items() if old != new}
        longest_first = sorted(self._names, key=len, reverse=True)
        self._pattern = re.compile("|".join(re.escape(name) + _end_of(name) for name in longest_first))

    @classmethod
    def of_tree(cls, root: Path, live_root: Path, module_names: Mapping[str, str]) -> Relocation:
        """From `root`, however it is spelled, to `live_root`."""
        return cls({str(root): str(live_root), str(root.resolve()): str(live_root), **module_names})

    def apply(self, value: _Json) -> _Json:
        """A copy of `value` with every name replaced, in keys too."""
        return cast(_Json, self._applied(value)) if self._names else value

    def _applied(self, value: object) -> object:
        if isinstance(value, str):
            return self._pattern.sub(lambda found: self._names[found[0]], value)
        if isinstance(value, dict):
            return {self._applied(key): self._applied(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._applied(item) for item in value]
        return value


def _end_of(name: str) -> str:
    """What may not follow: `/dags.old` does not hold the name `/dags`, but `module.x` holds `module`."""
    return r"(?![\w-]|\.\w)" if name.startswith("/") else r"(?!\w)"
