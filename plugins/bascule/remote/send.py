"""The one sender: a program of this folder, run by the Python of another host, with one request or in a conversation.

Program and request stand on standard input, so that no secret is ever in a list of processes. Requests and answers are
Python literals in ASCII, since a small server's Python knows no JSON.
"""

import ast
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from bascule.hosts.connections import AccessError
from bascule.hosts.ssh import Conversation, RemoteHost

# Reads as many bytes of standard input as its argument says, and runs them: what comes behind them is the program's.
FROM_INPUT = "import sys; exec(sys.stdin.buffer.read(int(sys.argv[1])))"

IMPORTED = re.compile(r"^from bascule\.remote\.(\w+) import ", re.MULTILINE)
MODULE = """import sys, types
if "bascule.remote.{name}" not in sys.modules:
    sys.modules["bascule.remote.{name}"] = types.ModuleType("bascule.remote.{name}")
    exec({text!a}, vars(sys.modules["bascule.remote.{name}"]))
"""


class ProgramFailed(AccessError):
    """Raised when a program on another host could not do what it was asked to; the text says where and why."""


def send(
    remote: RemoteHost,
    program: Literal["client", "pop3_uidls"],
    request: Mapping[str, Any],
    *,
    timeout: float = 120.0,
    sudo: bool = True,
) -> dict[str, Any]:
    """Let the program's `run` treat the request there, plain data; what it returned. `timeout`: seconds of silence.

    Raises ProgramFailed, or AccessError when the host can't be reached.
    """
    text = f"{_source(program)}\n\nanswer({dict(request)!a})\n"
    output = remote.run(["python3", "-"], input=text.encode(), timeout=timeout, sudo=sudo, private=True).output
    return _done(remote, output)


def converse(
    remote: RemoteHost, program: Literal["doveadm"], request: Mapping[str, Any]
) -> tuple[Conversation, dict[str, Any]]:
    """Let the program's `serve` treat what is written to it from now on, as root, until the conversation is closed.

    Returns what it said first, too. Raises ProgramFailed when it can't, or AccessError when the host can't be reached
    or what it needs there is not up.
    """
    text = f"{_source(program)}\n\nserve({dict(request)!a})\n".encode()
    conversation = remote.converse(["python3", "-c", FROM_INPUT, str(len(text))])
    try:
        conversation.write(text)
        found = _done(remote, conversation.read_line().decode("ascii", "replace"))
    except AccessError:
        conversation.close()
        raise
    return conversation, found


def _done(remote: RemoteHost, output: str) -> dict[str, Any]:
    try:
        [(outcome, found)] = ast.literal_eval(output).items()
    except (ValueError, SyntaxError, AttributeError):
        outcome, found = "", output
    if outcome == "done":
        return found
    if outcome == "later":
        raise AccessError(f"from {remote.name}: {found}")
    if outcome == "failed":
        raise ProgramFailed(f"from {remote.name}: {found}")
    raise ProgramFailed(f"{remote.name} answered with what is no answer: {output[:200]!r}")


@cache
def _source(program: str) -> str:
    """The program, and before it what it imports of this folder: there, each becomes a module of the same name."""
    text = Path(__file__).with_name(f"{program}.py").read_text(encoding="utf-8")
    modules = [MODULE.format(name=name, text=_source(name)) for name in IMPORTED.findall(text)]
    return "".join([*modules, text])
