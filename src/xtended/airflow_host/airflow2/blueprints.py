"""What Airflow 2's webserver mounts: the API and its landing page."""

from __future__ import annotations

import logging
from typing import Any

from airflow.www.constants import SWAGGER_ENABLED
from airflow.www.extensions.init_views import set_cors_headers_on_response
from flask import Blueprint, Response, request
from flask.blueprints import BlueprintSetupState

from xtended.airflow_host.airflow2.host import Airflow2Host
from xtended.airflow_host.airflow2.mount import PAGES
from xtended.api import PREFIX
from xtended.binding import offered_spec
from xtended.contract import SpecError, load_spec
from xtended.pages import landing_page
from xtended.problems import MEDIA_TYPE, Misconfigured
from xtended.services import Services
from xtended.settings import SettingsError
from xtended.web_pages import DEPLOYMENTS
from xtended.wsgi import create_blueprint, route_the_rest
from xtended.wsgi_pages import add_web_page

log = logging.getLogger(__name__)


def blueprints() -> list[Blueprint]:
    """The API and its pages. A broken setting of ours makes one that says so of the API."""
    api, spec = _api()
    return [api, _pages(spec)]


def _api() -> tuple[Blueprint, dict[str, Any]]:
    """What to mount, and the spec that it serves."""
    services, spec = None, load_spec()
    try:
        host = Airflow2Host()
        services = Services.assemble(host)
        blueprint = create_blueprint(services, host.identity.challenge, swagger_ui=SWAGGER_ENABLED)
        spec = offered_spec(services.settings)
    except (SettingsError, SpecError) as error:
        log.error("Airflow Xtended is not available: %s", error)
        blueprint = _unavailable(str(error))

    @blueprint.record
    def on_mount(state: BlueprintSetupState) -> None:
        csrf = state.app.extensions.get("csrf")
        # The command line mounts plugins too, where it only wants the table of users.
        if csrf is None:
            return
        # Changes need an Authorization header or the same origin here, instead of a form's token.
        csrf.exempt(blueprint)
        if services is not None:
            services.start()

    blueprint.after_request(set_cors_headers_on_response)
    return blueprint, spec


def _unavailable(reason: str) -> Blueprint:
    """Answers every request with one problem that says what is wrong."""
    blueprint = Blueprint("xtended_unavailable", __name__, url_prefix=PREFIX)
    problem = Misconfigured(f"Airflow Xtended is misconfigured: {reason}")

    def refuse(path: str = "") -> tuple[Any, int, dict[str, str]]:
        return problem.body(), problem.status, {"Content-Type": MEDIA_TYPE}

    route_the_rest(blueprint, refuse)
    return blueprint


def _pages(spec: dict[str, Any]) -> Blueprint:
    blueprint = Blueprint(PAGES, __name__, url_prefix=f"/{PAGES}", template_folder="templates")

    @blueprint.route("/")
    def landing() -> Response:
        return Response(landing_page(spec, request.script_root), mimetype="text/html")

    add_web_page(blueprint, "/deployments", DEPLOYMENTS)
    return blueprint
