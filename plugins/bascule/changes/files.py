"""Files of a host as a change keeps them in the journal: content, mode and owner, to be put back as they were."""

import base64
import hashlib
import os
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, TemplateError

from bascule.changes.base import ChangeFailed
from bascule.hosts.ssh import CommandFailed, RemoteHost

FileState = dict[str, Any]  # {"text" or "base64": content, "mode": "644", "owner": "root:root"}
TEMPLATES = Path(__file__).resolve().parents[3] / "include" / "templates"


def snapshot(remote: RemoteHost, path: str) -> FileState | None:
    """The file as it is now, or None when there is none."""
    found = remote.run(["env", "LC_ALL=C", "stat", "--dereference", "--format=%a %U:%G", "--", path], check=False)
    if found.status != 0 and "No such file" in found.error:
        return None
    if found.status != 0:
        raise CommandFailed(remote.name, ["stat", path], found)
    mode, owner = found.output.split()
    data = remote.read_file(path)
    if data is None:
        return None
    try:
        return {"text": data.decode(), "mode": mode, "owner": owner}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode(), "mode": mode, "owner": owner}


def restore(remote: RemoteHost, path: str, state: FileState | None) -> None:
    """Make the file what `snapshot` saw; None removes it."""
    if state is None:
        remote.remove_file(path)
        return
    data = base64.b64decode(state["base64"]) if "base64" in state else state["text"].encode()
    write(remote, path, data, mode=state["mode"], owner=state["owner"])


def write(remote: RemoteHost, path: str, data: bytes, *, mode: str = "644", owner: str = "root:root") -> None:
    """Write the file atomically, with its directory, mode (octal) and owner (`user:group`)."""
    remote.run(["mkdir", "-p", "--", os.path.dirname(path)])  # noqa: PTH120 - a path of another host
    remote.write_file(path, data, mode=mode)
    if owner != "root:root":
        remote.run(["chown", "--", owner, path])


def text_of(state: FileState | None) -> str | None:
    """The file's text; None when there is no file, or when it is no UTF-8 text."""
    return None if state is None else state.get("text")


def short(state: FileState | None) -> str:
    """The file in a few words, for the log."""
    if state is None:
        return "no file"
    content = str(state.get("text") or state.get("base64"))
    return f"{len(content)} characters, sha256 {digest(content)[:12]}, {state['mode']} {state['owner']}"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def render(template: str, **values: Any) -> str:
    """Fill a template of `include/templates` (or of an absolute path). Raises ChangeFailed naming the template."""
    path = TEMPLATES / template
    try:
        environment = Environment(  # noqa: S701 - these are configuration files, not HTML
            undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
        )
        return environment.from_string(path.read_text(encoding="utf-8")).render(**values)
    except OSError as error:
        raise ChangeFailed(f"the template {path} can't be read: {error.strerror}") from None
    except TemplateError as error:
        raise ChangeFailed(f"the template {path} can't be filled: {error}") from None
