"""Where Airflow 2 mounts the extension: the API, its landing page and the menu entry."""

from __future__ import annotations

import functools
import logging
from typing import Any

from flask import Blueprint, Response, request
from flask.blueprints import BlueprintSetupState

from xtended.api import PREFIX, SpecError, load_spec
from xtended.pages import landing_page
from xtended.problems import MEDIA_TYPE, Misconfigured
from xtended.settings import SettingsError

log = logging.getLogger(__name__)

PAGES = "xtended_api"


def mount_points() -> dict[str, Any]:
    """Attributes of an `AirflowPlugin`. Never raises: a broken setting of ours must not stop Airflow."""
    return {
        # Every process of Airflow loads its plugins, but only the webserver asks for blueprints.
        "flask_blueprints": property(lambda plugin: list(_blueprints())),
        "appbuilder_menu_items": [
            {"name": "Reference Docs", "category": "Xtended API", "href": f"{PAGES}.landing"},
        ],
    }


@functools.cache
def _blueprints() -> tuple[Blueprint, ...]:
    return _api(), _pages()


def _api() -> Blueprint:
    # Imported here, so that whatever is wrong with it is caught below too.
    from airflow.www.constants import SWAGGER_BUNDLE, SWAGGER_ENABLED
    from airflow.www.extensions.init_views import set_cors_headers_on_response

    from xtended.airflow_host.airflow2.host import Airflow2Host
    from xtended.services import Services
    from xtended.wsgi import create_blueprint

    try:
        services = Services.assemble(Airflow2Host())
        blueprint = create_blueprint(services, SWAGGER_BUNDLE if SWAGGER_ENABLED else None)
    except (SettingsError, SpecError) as error:
        log.error("Airflow Xtended is not available: %s", error)
        return _unavailable(str(error))

    @blueprint.record
    def on_mount(state: BlueprintSetupState) -> None:
        csrf = state.app.extensions.get("csrf")
        # The command line mounts plugins too, where it only wants the table of users.
        if csrf is not None:
            # Changes need an Authorization header or the same origin here, instead of a form's token.
            csrf.exempt(blueprint)
            services.parser.warm()

    blueprint.after_request(set_cors_headers_on_response)
    return blueprint


def _unavailable(reason: str) -> Blueprint:
    """Answers every request with one problem that says what is wrong."""
    blueprint = Blueprint("xtended_unavailable", __name__, url_prefix=PREFIX)
    problem = Misconfigured(f"Airflow Xtended is misconfigured: {reason}")

    @blueprint.route("/", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    @blueprint.route("/<path:path>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    def refuse(path: str = "") -> tuple[Any, int, dict[str, str]]:
        return problem.body(), problem.status, {"Content-Type": MEDIA_TYPE}

    @blueprint.record
    def on_mount(state: BlueprintSetupState) -> None:
        if "csrf" in state.app.extensions:
            state.app.extensions["csrf"].exempt(blueprint)

    return blueprint


def _pages() -> Blueprint:
    blueprint = Blueprint(PAGES, __name__, url_prefix=f"/{PAGES}")
    spec = load_spec()

    @blueprint.route("/")
    def landing() -> Response:
        return Response(landing_page(spec, request.script_root), mimetype="text/html")

    return blueprint
