"""Addresses: those of hosts that end with the migration, and redirections of an account to itself."""

import re
from collections.abc import Iterator

from bascule.sieve.language import Role, all_roles, roles
from bascule.sieve.model import Edit, Report, shown
from bascule.sieve.rules.encoded_characters import value_of
from bascule.sieve.rules.lists import remove_items
from bascule.sieve.rules.variables import Constants
from bascule.sieve.syntax import Node, String, StringList, Tag, quote

RULE = "retired-address"
TEXTS = "retired-address-text"
READ_BY_PEOPLE = ("vacation", "reject", "ereject", "notify")
ROLES = ("redirect", "own-address", "recipient")
# The domain at the end of `me@obs.test`, `Me <me@obs.test>` or `me@obs.test (Me)`.
DOMAIN = re.compile(r"\s*+@\s*+(?P<domain>[^\s<>@,;:()\"\[\]]++)\s*+>?\s*+(?:\([^()]*+\)\s*+)*+$")
# An address in a `mailto:` URI (RFC 6068): before the "?", and in the fields that have addresses.
URI_FIELDS = re.compile(r"(?i)^mailto:[^?]*|(?<=[?&])(?:to|cc|bcc)=[^&]*")
URI_DOMAIN = re.compile(r"(?i)(?<=@)[^@?&,;%]+|(?<=%40)[^@?&,;%]+")


def retired_addresses(report: Report) -> None:
    """An address at a host that is going away gets the domain that takes its place."""
    if not report.context.old_hosts:
        return
    constants, done = Constants.of(report.script), set()
    for role in all_roles(report.script, *ROLES):
        edited: list[tuple[String, str]] = []
        for string in role.strings():
            for place in _places(report, constants, string):
                new = moved(report, value_of(report.script, place))
                if new is not None and place.start not in done:
                    done.add(place.start)
                    edited.append((place, new))
        _replace(report, role, edited)
    for role in all_roles(report.script, "method"):
        for string in role.strings():
            new = moved_uri(report, string.value)
            if new != string.value:
                report.edit(string.start, string.end, quote(new), RULE, _reason(string.value))


def retired_texts(report: Report) -> None:
    """What people read may name such an address: it is the owner's text, so a person is asked."""
    hosts = report.context.old_hosts
    if not hosts:
        return
    domain = re.compile(rf"(?i)(?<=@)(?:{'|'.join(map(re.escape, hosts))})(?!-*[a-z0-9]|\.[a-z0-9])")
    found: dict[int, list[Edit]] = {}
    nodes = {id(role.node): role.node for role in all_roles(report.script, "text")}
    for role in all_roles(report.script, "text"):
        if role.node.name not in READ_BY_PEOPLE or role.tag not in ("", "subject", "message"):
            continue
        source = report.script.text[role.argument.start : role.argument.end]
        for named in domain.finditer(source):
            at = role.argument.start + named.start()
            new, reason = hosts[named[0].lower()], f"the text of `{role.node.name}` names {shown(f'@{named[0]}')}"
            edit = Edit(at, at + len(named[0]), new, TEXTS, f"{reason}, which ends with the old server")
            found.setdefault(id(role.node), []).append(edit)
    handled = {edit.start for edit in report.edits if edit.rule == "vacation-handle"}
    for key, edits in found.items():
        handle = _handle(report, nodes[key]) if nodes[key].name == "vacation" else None
        if handle and handle.start in handled:
            handle = None
        report.ask(edits[0].start, TEXTS, edits[0].reason, *edits, *([handle] if handle else []))


def _places(report: Report, constants: Constants, string: String) -> Iterator[String]:
    """Where the address stands; where a variable holds a part of it and is used otherwise, too, a person is asked."""
    places = constants.places(string, ROLES)
    if places is not None or moved(report, string.value) is not None:
        yield from [string] if places is None else places
        return
    value = constants.expanded(string.value)
    new = moved(report, value) if value is not None else None
    if value is not None and new is not None:
        message = f"{shown(string.value)} is {shown(value)}, which ends with the old server"
        edit = Edit(string.start, string.end, quote(new), "retired-address-variable", message)
        report.ask(string.start, "retired-address-variable", message, edit)


def _replace(report: Report, role: Role, edited: list[tuple[String, str]]) -> None:
    """In a list, an address that stands there already under its new domain goes."""
    gone: dict[int, tuple[str, str]] = {}
    items = role.argument.items if isinstance(role.argument, StringList) else []
    new_values = {id(string): new for string, new in edited}
    there = {string.value.lower() for string in items if id(string) not in new_values}
    for string, new in edited:
        if id(string) in {id(item) for item in items} and new.lower() in there:
            gone[id(string)] = (RULE, f"{_reason(string.value)}, and {shown(new)} stands there already")
            continue
        there.add(new.lower())
        report.edit(string.start, string.end, quote(new), RULE, _reason(string.value))
        if role.tag == "from" and role.node.name == "vacation":
            handle = _handle(report, role.node)
            report.edits += [handle] if handle else []
    if gone:
        remove_items(report, items, gone)


def _reason(old: str) -> str:
    return f"{shown(old)} ends with the old server"


def _handle(report: Report, vacation: Node) -> Edit | None:
    """Pigeonhole knows whom it answered by `:handle`, or by the texts: what was known gets a handle."""
    values = {role.tag or role.name: role.argument for role in roles(vacation)}
    at = vacation.start + len(vacation.name)
    reason, sender, subject = values.get("text"), values.get("from"), values.get("subject")
    if "handle" in values or not isinstance(reason, String):
        return None
    title = subject.value if isinstance(subject, String) else "<default-subject>"
    address = sender.value if isinstance(sender, String) else "<default-from>"
    mime = any(isinstance(argument, Tag) and argument.name == "mime" for argument in vacation.arguments)
    handle = f"{reason.value}{title}{address}<{'MIME' if mime else 'NO-MIME'}>"
    why = "so that who had an answer from the old address gets no second one"
    return Edit(at, at, f" :handle {quote(handle)}", "vacation-handle", why)


def moved(report: Report, address: str) -> str | None:
    """The address with the domain that takes the old host's place; None where it is not at an old host."""
    found = DOMAIN.search(address)
    new = report.context.old_hosts.get(found["domain"].lower()) if found else None
    return f"{address[: found.start('domain')]}{new}{address[found.end('domain') :]}" if found and new else None


def moved_uri(report: Report, uri: str) -> str:
    """The same for every address in a `mailto:` URI."""
    hosts = report.context.old_hosts
    if not uri[:7].lower().startswith("mailto:"):
        return uri
    return URI_FIELDS.sub(
        lambda field: URI_DOMAIN.sub(lambda found: hosts.get(found[0].lower(), found[0]), field[0]), uri
    )


def bare(address: str) -> str:
    """The address alone (RFC 5322 section 3.4.1), in small letters: without a name, brackets or comments."""
    found = DOMAIN.search(address)
    if found is None:
        return address.strip(" <>").lower()
    local = address[: found.start()].rpartition("<")[2].strip().strip('"')
    return f"{local}@{found['domain']}".lower()


def own_redirects(report: Report) -> None:
    """A redirection to the account's own address is a loop: the new server would send the message round."""
    own = {address.lower() for address in report.context.own_addresses}
    constants = Constants.of(report.script)
    for role in all_roles(report.script, "redirect"):
        target = role.argument
        if not own or not isinstance(target, String):
            continue
        value = constants.expanded(value_of(report.script, target))
        address = bare(moved(report, value) or value) if value is not None else ""
        plain = re.sub(r"\+[^@]*(?=@)", "", address)  # mail for a detail (RFC 5233) is the account's, too
        if own & {address, plain}:
            node = role.node
            message = f"redirects to {shown(target.value)}, the account itself: a loop; `keep` is what it comes to"
            repair = Edit(node.start, node.end, "keep;", "redirect-loop", message)
            report.ask(node.start, "redirect-loop", message, repair)
