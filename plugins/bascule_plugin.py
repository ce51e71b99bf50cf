"""Registers the dashboard with Airflow.

Every task process imports this module, so nothing heavy is imported before somebody opens the page.
"""

from functools import cached_property
from typing import Any

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


class BasculePlugin(AirflowPlugin):
    """The dashboard, under "Bascule" in the navigation."""

    name = "bascule"
    fastapi_apps = [{"app": Dashboard(), "url_prefix": PREFIX, "name": "Bascule"}]  # noqa: RUF012 - as Airflow wants it
    external_views = [  # noqa: RUF012 - as Airflow wants it
        {"name": "Bascule", "href": f"{PREFIX}/", "destination": "nav", "url_route": "bascule", "nav_top_level": True}
    ]
