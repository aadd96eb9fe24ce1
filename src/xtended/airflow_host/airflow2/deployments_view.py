"""The Deployments page with Airflow's menu above it."""

from __future__ import annotations

from airflow.configuration import conf
from airflow.www.auth import has_access_view
from airflow.www.views import AirflowBaseView
from flask import redirect, url_for
from flask_appbuilder import expose
from werkzeug.wrappers import Response

from xtended.airflow_host.airflow2.mount import PAGES


class DeploymentsView(AirflowBaseView):
    """What Flask-AppBuilder adds to the menu."""

    route_base = "/xtended_api/view"
    default_view = "deployments"

    @expose("/deployments")  # type: ignore[untyped-decorator]
    @has_access_view()
    def deployments(self) -> Response | str:
        """The page in a frame, or by itself where the webserver forbids frames."""
        page = url_for(f"{PAGES}.deployments_page")
        if not conf.getboolean("webserver", "x_frame_enabled", fallback=True):
            return redirect(page)
        rendered: str = self.render_template("xtended/deployments.html", page=page)
        return rendered
