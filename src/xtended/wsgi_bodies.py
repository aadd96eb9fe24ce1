"""What a request holds, as Connexion 2 reads and checks it, where its own ways differ from Connexion 3's."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from typing import Any

from connexion.decorators.uri_parsing import OpenAPIURIParser
from connexion.decorators.validation import (
    ParameterValidator,
    RequestBodyValidator,
    TypeValidationError,
    coerce_type,
)
from connexion.exceptions import BadRequestProblem, UnsupportedMediaTypeProblem
from connexion.utils import all_json
from flask import request
from jsonschema import ValidationError

from xtended.binding import body_too_large
from xtended.contract import FormBooleans


class UriParser(FormBooleans, OpenAPIURIParser):
    """Connexion's own parser, which takes booleans as people write them."""


class Parameters(ParameterValidator):
    @staticmethod
    def validate_parameter(*arguments: Any, **named: Any) -> str | None:
        error: str | None = ParameterValidator.validate_parameter(*arguments, **named)
        # The other lines repeat the schema and all that was sent.
        return error.partition("\n")[0] if error else error


class Body(RequestBodyValidator):
    """Connexion 2's own takes whatever is no form for an empty one, or fails on it."""

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if all_json(self.consumes):
            return self._nested_with_measure(super().__call__(function))

        @functools.wraps(function)
        def checked(connexion_request: Any) -> Any:
            self._check(connexion_request)
            return function(connexion_request)

        return checked

    @staticmethod
    def _nested_with_measure(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def checked(connexion_request: Any) -> Any:
            try:
                _ = connexion_request.json
            except RecursionError:
                raise BadRequestProblem(detail="The request's body is nested too deeply.") from None
            return function(connexion_request)

        return checked

    def _check(self, connexion_request: Any) -> None:
        if request.mimetype not in self.consumes and (request.mimetype or request.content_length):
            raise UnsupportedMediaTypeProblem(
                detail=f"Invalid Content-type ({request.mimetype}), expected {', '.join(self.consumes)}"
            )
        if request.mimetype == "application/json":
            if not isinstance(request.get_json(silent=True), dict):
                raise BadRequestProblem(detail="The request's body is not a JSON object.")
            return
        for name, files in request.files.lists():
            if len(files) > 1:
                raise BadRequestProblem(detail=f"{name} takes one file, and {len(files)} were sent.")
        properties = self.schema.get("properties", {})
        sent = {**connexion_request.form, **dict.fromkeys(connexion_request.files, "")}
        try:
            typed = {
                name: coerce_type(properties[name], value, "requestBody", name)
                if name in properties
                else value
                for name, value in sent.items()
            }
            self.validator.validate(typed)
        except TypeValidationError as error:
            raise BadRequestProblem(detail=str(error)) from None
        except ValidationError as error:
            raise BadRequestProblem(detail=error.message + self._error_path_message(error)) from None


class Counted(io.RawIOBase):
    """A request body that refuses to go on past its limit: it need not say how long it is."""

    def __init__(self, stream: Any, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        self._taken += len(data)
        if self._taken > self._limit:
            raise body_too_large(self._limit)
        buffer[: len(data)] = data
        return len(data)
