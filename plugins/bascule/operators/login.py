"""Who may log in to the cluster and answer a gate: users by their names, as the site file writes them."""

from typing import Any

from airflow.providers.fab.auth_manager.fab_auth_manager import FabAuthManager
from fastapi import HTTPException

from bascule.operators.wrong_logins import SECONDS, WrongLogins

_WRONG = WrongLogins()


class NamedFabAuthManager(FabAuthManager):
    """FAB's users and roles, with the gates' `reviewers` and `cutover` compared with user names.

    FAB itself would compare them with its users' row numbers, which no postmaster knows, and would let a program try
    passwords as fast as it can.
    """

    def is_authorized_hitl_task(self, *, assigned_users: set[str], user: Any) -> bool:
        return user.get_name() in assigned_users

    def create_token(self, headers: dict[str, str], body: dict[str, Any]) -> Any:
        name = str(body.get("username", ""))
        if _WRONG.too_many(name):
            raise HTTPException(429, f"too many wrong passwords for this user: try again in {SECONDS:.0f} seconds")
        user = super().create_token(headers, body)
        if user is None:
            _WRONG.note(name)
        return user
