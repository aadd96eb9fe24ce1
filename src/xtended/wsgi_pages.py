"""The built pages as routes of a Flask blueprint."""

from __future__ import annotations

import json

from flask import Blueprint, Response, redirect

from xtended.api import problem_answer
from xtended.problems import NotFound
from xtended.web_pages import web_file


def add_web_page(blueprint: Blueprint, path: str, page: str) -> None:
    """Serve `page` at `path`, which has no slash at its end, and what it loads below."""
    name = path.rpartition("/")[2]

    def add_slash() -> Response:
        # Relative, so that it holds wherever Airflow is served.
        return redirect(f"{name}/", 307)  # type: ignore[return-value]

    def serve(name: str = "") -> Response:
        file = web_file(page, name)
        if file is None:
            body, status, headers = problem_answer(NotFound("There is no such file of the page."), {})
            return Response(json.dumps(body), status, headers)
        return Response(file.content, headers=dict(file.headers))

    blueprint.add_url_rule(path, f"{name}_without_slash", add_slash, strict_slashes=True)
    blueprint.add_url_rule(f"{path}/", f"{name}_page", serve)
    blueprint.add_url_rule(f"{path}/<path:name>", f"{name}_file", serve)
