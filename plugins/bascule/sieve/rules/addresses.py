"""Addresses: those of hosts that end with the migration, and redirections of an account to itself."""

from bascule.sieve.language import all_roles
from bascule.sieve.model import Edit, Report
from bascule.sieve.syntax import String, quote


def retired_addresses(report: Report) -> None:
    """An address at a host that is going away gets the domain that takes its place."""
    for role in all_roles(report.script, "redirect", "own-address"):
        for string in role.strings():
            new = _moved(report, string.value)
            if new is not None:
                report.edit(
                    string.start,
                    string.end,
                    quote(new),
                    "retired-address",
                    f"{string.value!r} ends with the old server",
                )


def _moved(report: Report, address: str) -> str | None:
    local, at, domain = address.rpartition("@")
    bare = domain.rstrip("> ").lower()
    new = report.context.old_hosts.get(bare)
    return f"{local}@{new}{domain[len(bare) :]}" if at and new else None


def own_redirects(report: Report) -> None:
    """A redirection to the account's own address is a loop: the new server would send the message round."""
    own = {address.lower() for address in report.context.own_addresses}
    for role in all_roles(report.script, "redirect"):
        target = role.argument
        if not isinstance(target, String):
            continue
        address = (_moved(report, target.value) or target.value).strip(" <>").lower()
        if address in own:
            # Everything of the command but its address, which a retired host's rule may edit as well.
            node = role.node
            message = f"redirects to {target.value!r}, the account itself: a loop; `keep` is what it comes to"
            report.edits = [edit for edit in report.edits if not node.start <= edit.start < node.end]
            report.ask(
                node.start, "redirect-loop", message, Edit(node.start, node.end, "keep;", "redirect-loop", message)
            )
