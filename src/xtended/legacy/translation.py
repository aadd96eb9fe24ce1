"""An older request -> the operation that it is and that operation's arguments."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from xtended.api import Upload
from xtended.legacy.functions import find
from xtended.legacy.shapes import Argument, Function, Route
from xtended.problems import BadRequest
from xtended.settings import parse_boolean

HIDDEN = "***"


@dataclass(frozen=True)
class Asked:
    """What an older request asks for: its arguments by where they were sent, as text or as files."""

    name: str
    query: Mapping[str, str] = field(default_factory=dict)
    posted: Mapping[str, Any] = field(default_factory=dict)

    @property
    def function(self) -> Function | None:
        return find(self.name, frozenset({*self.query, *self.posted}))


@dataclass(frozen=True)
class Meant:
    """The operation that is meant, with its arguments; `warnings` say what had no effect."""

    function: Function
    route: Route
    arguments: Mapping[str, Any]
    warnings: tuple[str, ...]


def translate(asked: Asked) -> Meant:
    """Raises BadRequest, naming what is not understood."""
    function = asked.function
    if function is None:
        raise BadRequest(f"There is no function {asked.name!r}; the page of this address lists them.")
    given = {**asked.query, **asked.posted}
    twice = sorted(asked.query.keys() & asked.posted.keys())
    if twice:
        raise BadRequest(f"{twice[0]!r} is given both in the address and in the body: give it once.")
    known = function.arguments()
    off = {name for name, value in given.items() if _off(known.get(name), value)}
    route = _route(function, given.keys() - off)
    arguments: dict[str, Any] = dict(route.always)
    warnings = []
    for name, value in given.items():
        if name not in known:
            raise BadRequest(f"{function.name} takes no argument {name!r}.")
        if name not in route.arguments:
            if name in off:
                continue
            meant = f"with {', '.join(route.when)}" if route.when else "by itself"
            raise BadRequest(f"{name!r} has no meaning for {function.name} {meant}.")
        argument = route.arguments[name]
        if argument.ignored:
            warnings.append(f"{name} has no effect: {argument.ignored}.")
        else:
            arguments |= _passed(name, argument, value)
    return Meant(function, route, arguments, tuple(warnings))


def _off(argument: Argument | None, value: Any) -> bool:
    """Whether this is a flag that says no."""
    try:
        return argument is not None and argument.flag and value != "" and not parse_boolean(str(value))
    except ValueError:
        return False


def _route(function: Function, given: Set[str]) -> Route:
    for route in function.routes:
        if given >= set(route.when):
            return route
    ways = "; or ".join(" and ".join(route.when) for route in function.routes)
    raise BadRequest(f"{function.name} needs {ways}.")


def _passed(name: str, argument: Argument, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, str):
        return {argument.file or argument.to or name: value}
    if argument.read is not None:
        return argument.read(value)
    if argument.flag and value == "":
        value = "true"
    return {argument.to or name: value}


def shown(function: Function | None, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as they may be sent back: no secret, no content of a file."""
    known = {} if function is None else function.arguments()
    return {
        name: value.filename
        if isinstance(value, Upload)
        else HIDDEN
        if name in known and known[name].secret
        else value
        for name, value in arguments.items()
    }


def command(asked: Asked) -> str | None:
    """The command line that the older plugin would have run; None where it did the work itself."""
    function = asked.function
    if function is None or function.custom:
        return None
    known, given = function.arguments(), shown(function, {**asked.query, **asked.posted})
    words = ["airflow", function.name, *(given[name] for name in function.positional if name in given)]
    for name, value in given.items():
        if name in known and name not in function.positional:
            words += [f"--{name}"] if known[name].flag else [f"--{name}", value]
    return " ".join(shlex.quote(str(word)) for word in words)
