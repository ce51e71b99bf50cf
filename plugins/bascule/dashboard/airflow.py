"""The door to the control room inside Airflow: its login, its rights, its users' names."""

import os
from collections.abc import Sequence
from pathlib import Path

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from airflow.configuration import conf
from fastapi import Request

from bascule.dashboard.visitor import Visitor
from bascule.problems.rest import Airflow
from bascule.text.logs import get_logger

log = get_logger(__name__)
ASKS = "transfer"  # the phase whose questions are answered here
_reads_logs = requires_access_dag("GET", DagAccessEntity.TASK_LOGS)


class AirflowDoor:
    """Whoever may read the task logs may read; whoever may answer Airflow's questions may answer them here."""

    def __init__(self) -> None:
        self.secret = str(conf.get("api", "secret_key"))
        self.metrics_token = metrics_token()

    def may_read(self, request: Request, user: GetUserDep) -> None:
        """Raises HTTPException (401, 403)."""
        _reads_logs(request, user)
        request.state.bascule_user = user

    def visitor(self, request: Request) -> Visitor:
        user, manager = request.state.bascule_user, get_auth_manager()

        def is_named(names: Sequence[str]) -> bool:
            return bool(manager.is_authorized_hitl_task(assigned_users=set(names), user=user))

        may_edit = manager.is_authorized_dag(
            method="PUT", access_entity=DagAccessEntity.HITL_DETAIL, details=DagDetails(id=ASKS), user=user
        )
        return Visitor(str(user.get_name()), may_edit, is_named)

    def airflow(self, request: Request) -> Airflow:
        """Airflow's own API, beside this page, with the visitor's own login."""
        host, port = request.scope["server"]
        scheme = request.url.scheme if "https" in request.scope.get("scheme", "") else "http"
        path = str(request.scope.get("root_path", "")).removesuffix("/bascule")
        name = request.state.bascule_user.get_name()
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        token = token or request.cookies.get(COOKIE_NAME_JWT_TOKEN, "")
        return Airflow.of_token(f"{scheme}://{host}:{port}{path}", name, token)


def metrics_token() -> str:
    """BASCULE_METRICS_TOKEN, or what stands in the file that BASCULE_METRICS_TOKEN_FILE names; empty without both.

    A file that can't be read is told in the log: then nobody reads the metrics, and the pages are there all the same.
    """
    given, path = os.environ.get("BASCULE_METRICS_TOKEN", ""), os.environ.get("BASCULE_METRICS_TOKEN_FILE", "")
    if given or not path:
        return given
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        log.warning("nobody can read the metrics, for want of their token", file=path, reason=str(error))
        return ""
