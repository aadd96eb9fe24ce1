"""The answers of the two older plugins, from what the operations answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from xtended.legacy.translation import Asked, Meant, command, shown

TOKEN_FAILED = "Token Authentication Failed"  # noqa: S105 - what the older plugin answers
NO_HEADER = "Missing Authorization Header"


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Exchange:
    """An older request and when it came."""

    asked: Asked
    called: datetime = field(default_factory=_now)

    def succeeded(self, meant: Meant, answer: Mapping[str, Any]) -> dict[str, Any]:
        """The body of a 200."""
        if meant.function.family == "command line":
            return self._command_line(200, meant.route.output(answer), "OK", meant.warnings)
        chosen = {name: answer[name] for name in meant.route.fields}
        if meant.route.text:
            chosen["message"] = meant.route.text
        return {**chosen, "status": "success"}

    def failed(self, status: int, problem: Mapping[str, Any]) -> dict[str, Any]:
        """The body of an answer of any other status; `problem` has the members of RFC 9457."""
        function, detail = self.asked.function, str(problem["detail"])
        more = {name: value for name, value in problem.items() if name not in ("status", "detail")}
        if function is None or function.family == "command line":
            return {**self._command_line(status, detail, "ERROR", ()), **more}
        return {"status": "error", "message": detail, **more, **({"msg": NO_HEADER} if status == 401 else {})}

    def _command_line(
        self, status: int, output: str, verdict: str, warnings: tuple[str, ...]
    ) -> dict[str, Any]:
        function, ran = self.asked.function, command(self.asked)
        return {
            **({} if ran is None else {"airflow_cmd": ran}),
            "arguments": shown(function, self.asked.query),
            "post_arguments": shown(function, self.asked.posted),
            "call_time": format_datetime(self.called, usegmt=True),
            "output": output,
            "response_time": format_datetime(_now(), usegmt=True),
            "status": verdict,
            "warning": " ".join(warnings),
            "http_response_code": status,
        }
