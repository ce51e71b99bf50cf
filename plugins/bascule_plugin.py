"""Registers the dashboard with Airflow.

Every task process imports this module, so nothing heavy is imported before somebody opens the page.
"""

from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from airflow.sdk import BaseOperatorLink
from airflow.sdk.plugins_manager import AirflowPlugin

PREFIX = "/bascule"


class Dashboard:
    """The ASGI app that Airflow mounts. What it is made of is imported at the first request."""

    @cached_property
    def app(self) -> Any:
        from bascule.dashboard.app import for_airflow

        return for_airflow()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


class ControlRoomLink(BaseOperatorLink):
    """The button of each task of Bascule, whatever its state, that leads to its page in the control room.

    Airflow's API server asks for it when somebody looks at the task: a task process has nothing to do with it.
    """

    name = "Bascule"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """A path on Airflow's own host; empty, which shows no button, for a task that is not Bascule's."""
        if not str(getattr(operator, "_task_module", "")).startswith("bascule."):
            return ""
        from airflow.configuration import conf
        from bascule.dashboard.links import page_of

        below = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")
        return f"{below}{PREFIX}/{page_of(ti_key.dag_id, ti_key.run_id, ti_key.task_id, ti_key.map_index)}"


class BasculePlugin(AirflowPlugin):
    """The dashboard, under "Bascule" in the navigation and behind a button of each task."""

    name = "bascule"
    fastapi_apps = [{"app": Dashboard(), "url_prefix": PREFIX, "name": "Bascule"}]  # noqa: RUF012 - as Airflow wants it
    external_views = [  # noqa: RUF012 - as Airflow wants it
        {"name": "Bascule", "href": f"{PREFIX}/", "destination": "nav", "url_route": "bascule", "nav_top_level": True}
    ]
    global_operator_extra_links = [ControlRoomLink()]  # noqa: RUF012 - as Airflow wants it
