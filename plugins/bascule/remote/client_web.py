"""The client's web: a page as a browser opens it, an event in a calendar by curl. Sent with `client`."""

import os
import pathlib
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request

from bascule.remote.client_connection import TIMEOUT, trust


class Path(urllib.request.HTTPRedirectHandler):
    """Follows redirects and remembers them."""

    def __init__(self):
        self.steps = []

    def redirect_request(self, request, fp, code, msg, headers, newurl):
        self.steps.append([code, newurl])
        return super().redirect_request(request, fp, code, msg, headers, newurl)


def web_page(request):
    """Open a page as a browser does; the redirects on the way, the last address, the page's text."""
    path = Path()
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=trust(request)), path)
    try:
        with opener.open(request["url"], timeout=TIMEOUT) as answer:
            return {
                "status": answer.status,
                "url": answer.url,
                "steps": path.steps,
                "text": answer.read(500_000).decode(errors="replace"),
            }
    except urllib.error.HTTPError as error:
        return {"status": error.code, "url": error.url, "steps": path.steps, "text": ""}


def curl(request, method, address, *headers, body=""):
    """(status, text) of one request by curl, another program than the one that carried the calendars.

    The login comes to it on standard input, and so into no list of processes.
    """
    known = pathlib.Path(ssl.get_default_verify_paths().cafile or os.devnull)
    with tempfile.TemporaryDirectory() as folder:
        authority, content = pathlib.Path(folder, "authority"), pathlib.Path(folder, "content")
        authority.write_text(f"{request.get('authority') or ''}\n{known.read_text()}")
        content.write_text(body)
        given = {
            "user": f"{request['user']}:{request['password']}",
            "url": address,
            "request": method,
            "cacert": str(authority),
            "max-time": str(int(TIMEOUT)),
            "write-out": "\n%{http_code}",
        }
        lines = [f"{name} = {quoted(value)}" for name, value in given.items()]
        lines += [f"header = {quoted(header)}" for header in headers]
        if body:
            lines.append("data-binary = " + quoted(f"@{content}"))
        command = ["curl", "--silent", "--show-error", "--config", "-"]
        done = subprocess.run(command, input="\n".join(lines).encode(), capture_output=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.decode(errors="replace").strip() or f"curl ended with {done.returncode}")
    text, _, status = done.stdout.decode(errors="replace").rpartition("\n")
    return int(status), text


def quoted(value):
    """A value in a configuration of curl's."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r") + '"'


def calendar_event(request):
    """Write an event, read it, remove it, and see that it is gone: the four statuses and the text read."""
    address = request["url"].rstrip("/") + "/" + urllib.parse.quote(request["name"])
    kind = "Content-Type: text/calendar; charset=utf-8"
    written, _ = curl(request, "PUT", address, kind, "If-None-Match: *", body=request["event"])
    read, text = curl(request, "GET", address)
    removed, _ = curl(request, "DELETE", address)
    gone, _ = curl(request, "GET", address)
    return {"written": written, "read": read, "removed": removed, "gone": gone, "text": text}
