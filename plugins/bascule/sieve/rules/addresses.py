"""Addresses: those of hosts that end with the migration, and redirections of an account to itself."""

from bascule.sieve.language import all_roles, roles
from bascule.sieve.model import Edit, Report
from bascule.sieve.syntax import Node, String, Tag, quote


def retired_addresses(report: Report) -> None:
    """An address at a host that is going away gets the domain that takes its place."""
    for role in all_roles(report.script, "redirect", "own-address"):
        for string in role.strings():
            new = _moved(report, string.value)
            if new is not None:
                reason = f"{string.value!r} ends with the old server"
                report.edit(string.start, string.end, quote(new), "retired-address", reason)
                if role.tag == "from":
                    _keep_record(report, role.node)


def _keep_record(report: Report, vacation: Node) -> None:
    """Pigeonhole knows whom it answered by `:handle`, or by the texts with `:from`: what was known gets a handle."""
    values = {role.tag or role.name: role.argument for role in roles(vacation)}
    reason, sender, subject = values.get("text"), values.get("from"), values.get("subject")
    if "handle" in values or not isinstance(reason, String) or not isinstance(sender, String):
        return
    title = subject.value if isinstance(subject, String) else "<default-subject>"
    mime = any(isinstance(argument, Tag) and argument.name == "mime" for argument in vacation.arguments)
    handle = f"{reason.value}{title}{sender.value}<{'MIME' if mime else 'NO-MIME'}>"
    at = vacation.start + len(vacation.name)
    why = "so that who had an answer from the old address gets no second one"
    report.edit(at, at, f" :handle {quote(handle)}", "vacation-handle", why)


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
            node = role.node
            message = f"redirects to {target.value!r}, the account itself: a loop; `keep` is what it comes to"
            repair = Edit(node.start, node.end, "keep;", "redirect-loop", message)
            report.ask(node.start, "redirect-loop", message, repair)
