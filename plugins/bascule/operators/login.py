"""Who may answer a gate on the cluster: users by their names, as the site file writes them."""

from typing import Any

from airflow.providers.fab.auth_manager.fab_auth_manager import FabAuthManager


class NamedFabAuthManager(FabAuthManager):
    """FAB's users and roles, with the gates' `reviewers` and `cutover` compared with user names.

    FAB itself would compare them with its users' row numbers, which no postmaster knows.
    """

    def is_authorized_hitl_task(self, *, assigned_users: set[str], user: Any) -> bool:
        return user.get_name() in assigned_users
