"""Where Airflow 3's api-server mounts the extension: the API, its pages and the menu entries."""

from __future__ import annotations

import logging
from typing import Any

from airflow.api_fastapi.app import API_ROOT_PATH
from airflow.configuration import conf
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse

from xtended.airflow_host.airflow3.host import Airflow3Host
from xtended.api import PREFIX
from xtended.asgi import create_app
from xtended.asgi_older import OLDER_PREFIXES, AtRoot
from xtended.asgi_pages import add_web_page
from xtended.binding import offered_spec
from xtended.contract import SpecError, load_spec
from xtended.older_page import older_page
from xtended.pages import landing_page
from xtended.problems import MEDIA_TYPE, Misconfigured
from xtended.services import Services
from xtended.settings import SettingsError
from xtended.web_pages import DEPLOYMENTS, is_built

log = logging.getLogger(__name__)

PAGES_PREFIX = "/xtended_api"


def fastapi_apps() -> list[dict[str, Any]]:
    """The API and its pages. A broken setting of ours makes one that says so of the API."""
    mounted, spec = _api()
    pages = {"app": _pages(spec), "url_prefix": PAGES_PREFIX, "name": "Airflow Xtended pages"}
    return [*mounted, pages]


def external_views() -> list[dict[str, Any]]:
    """The entries of the menu."""
    views = [_menu_entry("Reference Docs", "xtended-reference-docs", f"{PAGES_PREFIX}/")]
    if is_built():
        views.append(_menu_entry("Deployments", "xtended-deployments", f"{PAGES_PREFIX}/deployments/"))
        if _swagger_ui_wanted():
            views.append(_menu_entry("Swagger UI", "xtended-swagger-ui", f"{PREFIX}/ui/"))
    # Airflow's UI shows the category, "Xtended API", only where there are two entries or more.
    return views


def _swagger_ui_wanted() -> bool:
    return conf.getboolean("api", "enable_swagger_ui", fallback=True)


def _menu_entry(name: str, route: str, path: str) -> dict[str, Any]:
    """An entry that opens one of our pages inside Airflow's UI, wherever that is served."""
    return {
        "name": name,
        "href": API_ROOT_PATH.removesuffix("/") + path,
        "destination": "nav",
        "category": "Xtended API",
        "url_route": route,
    }


def _api() -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What to mount, and the spec that it serves."""
    older, spec = True, load_spec()
    try:
        services = Services.assemble(Airflow3Host())
        app = create_app(services, swagger_ui=_swagger_ui_wanted())
        older, spec = services.settings.legacy_urls, offered_spec(services.settings)
    except (SettingsError, SpecError) as error:
        log.error("Airflow Xtended is not available: %s", error)
        app = _unavailable(str(error))
    mounted = [{"app": app, "url_prefix": PREFIX, "name": "Airflow Xtended"}]
    if older:
        page = older_page(spec)
        mounted += [
            {
                "app": AtRoot(app, page),
                "url_prefix": prefix,
                "name": f"Airflow Xtended at {prefix}",
            }
            for prefix in OLDER_PREFIXES
        ]
    return mounted, spec


def _unavailable(reason: str) -> FastAPI:
    """Answers every request with one problem that says what is wrong."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    problem = Misconfigured(f"Airflow Xtended is misconfigured: {reason}")

    @app.api_route("/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    def refuse(path: str) -> JSONResponse:
        return JSONResponse(problem.body(), problem.status, media_type=MEDIA_TYPE)

    return app


def _pages(spec: dict[str, Any]) -> FastAPI:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/")
    def landing(request: Request) -> HTMLResponse:
        base = request.scope.get("root_path", "").removesuffix(PAGES_PREFIX)
        return HTMLResponse(landing_page(spec, base))

    add_web_page(app, "/deployments", DEPLOYMENTS)
    return app
