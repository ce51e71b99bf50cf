"""`include` (RFC 6609) of scripts that must be there."""

from collections.abc import Iterator

from bascule.sieve.language import Role, all_roles
from bascule.sieve.model import Context, Report, shown
from bascule.sieve.parser import parse_leniently
from bascule.sieve.syntax import Script, SieveSyntaxError, String, Tag


def included_scripts(report: Report) -> None:
    """A script that is included and is nowhere breaks the filter when mail comes (unless it says `:optional`)."""
    context, told = report.context, set[str]()
    for role, string in includes(report.script):
        if is_global(role) or context.scripts is None or string.value in told:
            continue
        told.add(string.value)
        if string.value not in context.scripts:
            message = f"includes {shown(string.value)}, which is not among the account's scripts on the new server"
            report.ask(string.start, "include-missing", message)
    for string, name in missing_globals(report.script, context):
        report.ask(string.start, "include-missing", _sentence(context, string.value, name))


def includes(script: Script) -> Iterator[tuple[Role, String]]:
    """The scripts that must be there: every `include` of a constant name without `:optional`."""
    for role in all_roles(script, "script"):
        if "optional" not in _tags(role):
            yield from ((role, string) for string in role.strings() if "${" not in string.value)


def is_global(role: Role) -> bool:
    """Whether the script is one of the server's, for everybody, and no personal one."""
    return "global" in _tags(role)


def missing_globals(script: Script, context: Context) -> Iterator[tuple[String, str]]:
    """The global scripts that the new server lacks, each with the first `include` that leads there: also those that
    such a script includes on the old server."""
    seen: set[str] = set()
    if context.global_scripts is None:
        return
    for role, string in includes(script):
        waiting = [string.value] if is_global(role) else []
        while waiting:
            name = waiting.pop()
            if name in seen or name in context.global_scripts:
                continue
            seen.add(name)
            yield string, name
            text = (context.old_global_scripts or {}).get(name, "")
            waiting += [inner.value for role, inner in includes(_parsed(text)) if is_global(role)]


def _sentence(context: Context, included: str, name: str) -> str:
    way = f"includes {shown(name)}" if name == included else f"includes {shown(included)}, which includes {shown(name)}"
    message = f"{way}, which is not among the new server's global scripts"
    if context.old_global_scripts is None:
        return f"{message}; the old server's can't be read"
    if name in context.old_global_scripts:
        return f"{message}: install it there for everybody (its text on the old server is shown)"
    return f"{message}, and not among the old server's"


def _parsed(text: str) -> Script:
    try:
        return parse_leniently(text)
    except SieveSyntaxError:
        return Script(text, [], [])


def _tags(role: Role) -> set[str]:
    return {argument.name for argument in role.node.arguments if isinstance(argument, Tag)}
