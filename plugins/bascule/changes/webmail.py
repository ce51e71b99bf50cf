"""The webmail's address redirected to the new webmail, by a snippet in nginx's or Apache's configuration."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from bascule.changes import files, probes
from bascule.changes.base import Change, ChangeFailed, State
from bascule.hosts.access import Access
from bascule.text.logs import get_logger

log = get_logger(__name__)

ANSWER_SECONDS = 15  # a reload returns before the new workers answer
CURL_SECONDS = 10
UNSAFE = re.compile(r"[\s\"'\\{};$]")  # would end the string, or be a variable, in a web server's configuration


@dataclass(frozen=True)
class WebServer:
    """How one kind of web server checks and loads its configuration (Debian's names)."""

    name: str
    check: tuple[str, ...]
    unit: str
    template: str


SERVERS = {
    "nginx": WebServer("nginx", ("nginx", "-t", "-q"), "nginx.service", "webmail_redirect.nginx.j2"),
    "apache": WebServer("Apache", ("apache2ctl", "configtest"), "apache2.service", "webmail_redirect.apache.j2"),
}


class WebmailRedirect(Change):
    """The redirect in place. State: {"file": the snippet, "redirects_to": where a browser is sent, or ""}."""

    kind = "webmail"

    def __init__(self, access: Access) -> None:
        super().__init__(access)
        self.part = access.site.webmail
        self.remote = access.remote(self.part.host)
        self.server = SERVERS[self.part.kind]
        self.template = self.part.template or self.server.template

    @property
    def subject(self) -> str:
        return f"{self.part.host}: {self.part.url}"

    @property
    def parameters(self) -> dict[str, Any]:
        return {}

    @property
    def desired(self) -> State:
        file = {"text": self._text(), "mode": "644", "owner": "root:root"}
        return {"file": file, "redirects_to": self.part.target}

    def observe(self) -> State:
        return {"file": files.snapshot(self.remote, self.part.path), "redirects_to": self._redirect()[0]}

    def is_desired(self, state: State) -> bool:
        return files.text_of(state["file"]) == self._text() and self._is_target(state["redirects_to"])

    def apply(self) -> None:
        wrong = self._refused()
        if wrong:
            raise ChangeFailed(
                f"{self.subject}: {self.server.name}'s configuration is broken already, nothing was changed: {wrong}"
            )
        before = files.snapshot(self.remote, self.part.path)
        files.write(self.remote, self.part.path, self._text().encode())
        wrong = self._refused()
        if wrong:
            files.restore(self.remote, self.part.path, before)
            raise ChangeFailed(
                f"{self.subject}: {self.server.name} refuses the redirect that {self.template} makes; the file that "
                f"was there before is back, and {self.server.name} goes on as before: {wrong}"
            )
        self._reload()

    def verify(self) -> None:
        code, sentence = 0, ""

        def redirects() -> bool:
            nonlocal code, sentence
            location, code, sentence = self._redirect()
            return self._is_target(location)

        if not probes.wait_for(redirects, ANSWER_SECONDS):
            raise ChangeFailed(
                f"{self.subject}: seen from {self.part.verify_from} it does not lead to {self.part.target} "
                f"({sentence or f'status {code}'}): is {self.part.path} included in the webmail's `server` block?"
            )
        self._verify_without_tls()
        log.info("the webmail redirects", url=self.part.url, leads_to=self.part.target, status=code)

    def _verify_without_tls(self) -> None:
        """Who types the name alone comes by http: to the target too, or to the https page, or nowhere at all."""
        url = urlsplit(self.part.url)
        if url.scheme != "https" or url.port is not None:
            return
        plain = url._replace(scheme="http").geturl()
        code = 0

        def is_led_on() -> bool:
            nonlocal code
            location, code, _ = self._redirect(plain)
            return not code or self._is_target(location) or location.startswith(f"https://{url.hostname}/")

        if not probes.wait_for(is_led_on, ANSWER_SECONDS):
            raise ChangeFailed(
                f"{self.subject}: {plain} still shows its own page (status {code}): include {self.part.path} in the "
                "part of the configuration that answers http too"
            )

    def revert(self, before: State) -> None:
        if self.observe() == before:
            return
        files.restore(self.remote, self.part.path, before["file"])
        wrong = self._refused()
        if wrong:
            raise ChangeFailed(
                f"{self.subject}: {self.part.path} is as before, but {self.server.name} refuses to load it: {wrong}"
            )
        self._reload()
        if not probes.wait_for(lambda: self._redirect()[0] == before["redirects_to"], ANSWER_SECONDS):
            raise ChangeFailed(
                f"{self.subject}: leads to {self._redirect()[0] or 'no other page'} instead of "
                f"{before['redirects_to'] or 'the old webmail'}"
            )

    def summary(self, state: State) -> State:
        return {**state, "file": files.short(state["file"])}

    def _text(self) -> str:
        for url in (self.part.url, self.part.target):
            if UNSAFE.search(url):
                raise ChangeFailed(
                    f"{self.subject}: {url!r} can't stand in {self.server.name}'s configuration: mend `webmail`"
                )
        dav = self.part.target.rstrip("/") + "/dav/"
        return files.render(self.template, url=self.part.url, target=self.part.target, dav=dav)

    def _is_target(self, location: str) -> bool:
        return location.removesuffix("?").rstrip("/") == self.part.target.rstrip("/")  # the "?" of the template

    def _redirect(self, url: str = "") -> tuple[str, int, str]:
        """Where the webmail leads a browser ("": no redirect), the HTTP status, and what curl said if it failed."""
        words = "%{http_code} %{redirect_url}"
        command = ["curl", "--silent", "--show-error", "--max-time", str(CURL_SECONDS), "--output", "/dev/null"]
        viewer = self.access.remote(self.part.verify_from)
        found = viewer.run([*command, "--write-out", words, "--", url or self.part.url], check=False, sudo=False)
        code, _, location = found.output.strip().partition(" ")
        return location, int(code) if code.isdigit() else 0, found.error.strip()

    def _refused(self) -> str:
        """What the web server finds wrong with its configuration; empty when nothing."""
        checked = self.remote.run(self.server.check, check=False)
        return "" if checked.status == 0 else (checked.error.strip() or f"status {checked.status}")

    def _reload(self) -> None:
        self.remote.run(["systemctl", "reload-or-restart", self.server.unit])
