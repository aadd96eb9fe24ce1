"""The spec: read, checked, and bound to the handlers that it names."""

from __future__ import annotations

import copy
import functools
import importlib
import importlib.resources
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from xtended.access import UNGUARDED, Rule, RuleError
from xtended.api import Operation
from xtended.settings import parse_boolean

# libyaml reads the spec in a tenth of the time, which is time added to the start of Airflow.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
METHODS = ("get", "post", "put", "patch", "delete")
_PARAMETER = re.compile(r"\{[^}]+\}")


class SpecError(ValueError):
    """The spec can't be served as it is."""


def load_spec() -> dict[str, Any]:
    """The contract: from the wheel, or from the checkout that an editable install points at. Yours to change."""
    return copy.deepcopy(_written_spec())


@functools.cache
def _written_spec() -> dict[str, Any]:
    # Reading it takes ten times as long as copying it, and each part of a mount wants one.
    shipped = importlib.resources.files("xtended") / "openapi" / "xtended.yaml"
    checkout = Path(__file__).parents[2] / "openapi" / "xtended.yaml"
    text = (shipped if shipped.is_file() else checkout).read_text(encoding="utf-8")
    spec = yaml.load(text, Loader=_Loader)  # noqa: S506 - both are safe loaders
    if not isinstance(spec, dict):
        raise SpecError("the spec is not a mapping")
    return spec


def read_operations(spec: Mapping[str, Any]) -> dict[str, Operation]:
    """Every operation by its id. Raises SpecError, naming each operation that can't be served safely."""
    found: dict[str, Operation] = {}
    wrong: list[str] = []
    for path, item in spec["paths"].items():
        for method in METHODS:
            if method not in item:
                continue
            declared = item[method]
            where = f"{method.upper()} {path}"
            operation_id = declared.get("operationId")
            if not operation_id or operation_id in found:
                # Connexion lets one of two operations with the same id take the other's security, silently.
                wrong.append(f"{where}: operationId {operation_id!r} is missing or used twice")
                continue
            try:
                rule = Rule.read(declared.get("x-airflow-access"))
                handler = _handler(declared.get("x-openapi-router-controller"), operation_id)
            except (RuleError, SpecError) as error:
                wrong.append(f"{where}: {error}")
                continue
            security = declared.get("security", spec.get("security", []))
            if bool(security) is (rule.scope in UNGUARDED):
                wrong.append(f"{where}: security and x-airflow-access disagree on whether it is open")
            if declared.get("deprecated") and not declared.get("x-successor"):
                wrong.append(f"{where}: deprecated without x-successor")
            found[operation_id] = Operation(
                operation_id, path, method, rule, handler, declared.get("x-successor"), _files(declared)
            )
    if wrong:
        raise SpecError("; ".join(wrong))
    return found


class Paths:
    """The paths of the spec, those with parameters too."""

    def __init__(self, operations: Mapping[str, Operation]) -> None:
        self._methods: dict[str, list[str]] = {}
        for operation in operations.values():
            self._methods.setdefault(operation.path, []).append(operation.method.upper())
        self._patterns = [
            (re.compile(_PARAMETER.sub("[^/].*", path)), methods)
            for path, methods in self._methods.items()
            if _PARAMETER.search(path)
        ]

    def methods(self, path: str) -> list[str]:
        """The methods, in upper case, that a path of a request takes; none where there is no such path."""
        for pattern, methods in self._patterns:
            if pattern.fullmatch(path):
                return methods
        return self._methods.get(path, [])


def _files(declared: Mapping[str, Any]) -> frozenset[str]:
    content = declared.get("requestBody", {}).get("content", {})
    fields = content.get("multipart/form-data", {}).get("schema", {}).get("properties", {})
    return frozenset(name for name, schema in fields.items() if schema.get("format") == "binary")


def _handler(module_name: str | None, name: str) -> Callable[..., Mapping[str, Any]]:
    if not module_name:
        raise SpecError("x-openapi-router-controller is missing")
    try:
        handler = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise SpecError(f"handler {module_name}.{name} is missing ({error})") from error
    if not callable(handler):
        raise SpecError(f"handler {module_name}.{name} is not callable")
    return handler  # type: ignore[no-any-return]


class FormBooleans:
    """A mixin for either Connexion's OpenAPIURIParser: booleans as people write them in forms and URLs."""

    def resolve_form(self, form_data: dict[str, Any]) -> Any:
        schemas: Mapping[str, Any] = self.form_defns  # type: ignore[attr-defined]
        return super().resolve_form(_spell_booleans(form_data, schemas))  # type: ignore[misc]

    def resolve_params(self, params: dict[str, Any], _in: str) -> Any:
        schemas: Mapping[str, Any] = self.param_schemas  # type: ignore[attr-defined]
        return super().resolve_params(_spell_booleans(params, schemas), _in)  # type: ignore[misc]


def _spell_booleans(values: Mapping[str, Any], schemas: Mapping[str, Any]) -> dict[str, Any]:
    """`y`, `on`, `1`, ... as Connexion knows them, `true` and `false`; it refuses what is left."""
    return {
        key: _spell(value) if schemas.get(key, {}).get("type") == "boolean" else value
        for key, value in values.items()
    }


def _spell(value: Any) -> Any:
    if isinstance(value, list):
        return [_spell(item) for item in value]
    try:
        return "true" if parse_boolean(value) else "false"
    except (ValueError, AttributeError):
        return value
