"""The control room inside the running Airflow, as a browser gets it: its pages, and the button that stops the moves."""

import json
import os
import re
import time
from html import unescape

import httpx

from lab.airflow.processes import USER, Home, Rest
from lab.paths import Instance

SECONDS = 60


def dashboard(
    rest: Rest, user: str | None = None, token: str | None = None, *, page: str = "", **asked: str
) -> httpx.Response:
    """The page as this user gets it, by the cookie that the UI uses; without a user as anybody gets it."""
    cookies = {"_token": found} if (found := _logged_in(rest, user) if user else token) else None
    headers = {"Accept-Language": "en"}
    return httpx.get(f"{rest.base}/bascule/{page}", params=asked or None, headers=headers, cookies=cookies, timeout=60)


class MovesPage:
    """The page *Moves* as the postmaster has it open, with its button."""

    def __init__(self, rest: Rest) -> None:
        self._rest, self._token = rest, _logged_in(rest, USER)
        found = re.search(r'name="token" value="([^"]+)"', self.text())
        assert found, "the page has no form"
        self._form = unescape(found[1])

    def text(self, **asked: str) -> str:
        """As it is now."""
        answer = dashboard(self._rest, token=self._token, page="moves", **asked)
        assert answer.status_code == 200, answer.text
        return answer.text

    def of_wave(self, name: str) -> str:
        """With the accounts of a wave, which the page shows some seconds after it was planned."""
        deadline = time.monotonic() + SECONDS
        while link_to(name) not in (text := self.text(wave=name)):
            assert time.monotonic() < deadline, f"the page has no wave {name}"
            time.sleep(0.2)
        return text

    def stop(self) -> None:
        """Press the button."""
        sent = {"token": self._form, "word": "stop"}
        answer = httpx.post(
            f"{self._rest.base}/bascule/moves", data=sent, cookies={"_token": self._token}, timeout=60
        )  # fmt: skip
        assert answer.status_code == 303, answer.text


def link_to(wave: str) -> str:
    """By which the page shows the wave."""
    return f'href="moves?wave={wave}#list"'


def _logged_in(rest: Rest, user: str) -> str:
    """The token that the UI keeps in its cookie."""
    passwords = json.loads(Home(Instance(os.environ["BASCULE_LAB_INSTANCE"])).passwords.read_text())
    answer = httpx.post(f"{rest.base}/auth/token", json={"username": user, "password": passwords[user]}, timeout=30)
    answer.raise_for_status()
    return str(answer.json()["access_token"])
