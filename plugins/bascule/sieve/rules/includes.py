"""`include` (RFC 6609) of scripts that must be there."""

from bascule.sieve.language import all_roles
from bascule.sieve.model import Report
from bascule.sieve.syntax import Tag


def included_scripts(report: Report) -> None:
    """A script that is included and is nowhere breaks the filter when mail comes (unless it says `:optional`)."""
    for role in all_roles(report.script, "script"):
        tags = {argument.name for argument in role.node.arguments if isinstance(argument, Tag)}
        if "optional" in tags:
            continue
        known = report.context.global_scripts if "global" in tags else report.context.scripts
        for string in role.strings():
            if known is not None and string.value not in known and "${" not in string.value:
                where = "among the server's global scripts" if "global" in tags else "among the account's scripts"
                report.ask(string.start, "include-missing", f"includes {string.value!r}, which is not {where}")
