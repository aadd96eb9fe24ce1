"""Which paths `.airflowignore` hides, by the rules that Airflow's own file discovery follows.

Airflow reads one ignore file per folder, adds its patterns to those of the folders above, and does not enter
an ignored folder. A regexp is searched for in the path from the DAG folder. A glob with a slash at its start
or in its middle counts from the ignore file's folder, any other is held against the last part of the path. Of
patterns that say the same, the last counts; on Airflow 2 ("glob_first") the first.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from pathspec.patterns.gitwildmatch import GitWildMatchPattern

__all__ = ["IGNORE_FILE", "IgnoreRules", "Syntax"]

IGNORE_FILE = ".airflowignore"
Syntax = Literal["glob", "glob_first", "regexp"]

_COMMENT = re.compile(r"\s*#.*")
_log = logging.getLogger(__name__)


class _Rule(Protocol):
    def verdict(self, path: str, is_folder: bool) -> bool | None:
        """True: ignored, False: taken back, None: the rule says nothing about it."""
        ...


@dataclass(frozen=True)
class _Regexp:
    pattern: re.Pattern[str]

    def verdict(self, path: str, is_folder: bool) -> bool | None:
        return True if self.pattern.search(path) else None


@dataclass(frozen=True)
class _Glob:
    pattern: GitWildMatchPattern
    folder: str | None
    folders_only: bool

    def verdict(self, path: str, is_folder: bool) -> bool | None:
        if self.pattern.include is None or (self.folders_only and not is_folder):
            return None
        tail = path.rpartition("/")[2] if self.folder is None else path[len(self.folder) :]
        if self.pattern.match_file(f"{tail}/" if is_folder else tail) is None:
            return None
        return bool(self.pattern.include)


@dataclass(frozen=True)
class IgnoreRules:
    """The rules in force in one folder; begin with the DAG folder's own and `enter` those below."""

    syntax: Syntax
    rules: tuple[_Rule, ...] = ()

    def enter(self, folder: str, ignore_file: str | None) -> IgnoreRules:
        """The rules in `folder` ("" for the DAG folder), given the text of its ignore file, if any."""
        if ignore_file is None:
            return self
        lines = [_COMMENT.sub("", line) for line in ignore_file.split("\n")]
        rules = (*self.rules, *_compile(self.syntax, lines, folder))
        return IgnoreRules(self.syntax, _without_repeats(rules) if self.syntax == "glob_first" else rules)

    def ignored(self, path: str, *, is_folder: bool) -> bool:
        """Whether these rules hide `path`, an entry of the folder they hold for; the last rule wins."""
        verdicts = (rule.verdict(path, is_folder) for rule in reversed(self.rules))
        return next((verdict for verdict in verdicts if verdict is not None), False)


def _without_repeats(rules: tuple[_Rule, ...]) -> tuple[_Rule, ...]:
    return tuple(rule for place, rule in enumerate(rules) if rule not in rules[:place])


def _compile(syntax: Syntax, lines: Sequence[str], folder: str) -> list[_Rule]:
    if syntax != "regexp":
        return [_glob(line, folder) for line in lines if line and line.strip() != "/"]
    rules: list[_Rule] = []
    for line in lines:
        try:
            if line:
                rules.append(_Regexp(re.compile(line)))
        except re.error as error:
            _log.warning("%s in %r: %r is no regular expression: %s", IGNORE_FILE, folder, line, error)
    return rules


def _glob(line: str, folder: str) -> _Glob:
    anchored = "/" in line.rstrip("/")
    prefix = f"{folder}/" if folder else ""
    bare = line.lstrip("!").rstrip()
    return _Glob(
        GitWildMatchPattern(line),
        folder=prefix if anchored or line.startswith("/") else None,
        folders_only=bare.endswith("/"),
    )
