"""The webmail redirect: what may stand in nginx's configuration, and what happens when nginx refuses it."""

import contextlib
from typing import Any

import pytest
from bascule.changes import webmail
from bascule.changes.base import ChangeFailed
from bascule.changes.webmail import WebmailRedirect
from bascule.hosts.ssh import Finished

from tests.unit.changes.fakes import FakeAccess

PATH = "/etc/nginx/webmail.d/bascule.conf"


def with_target(target: str) -> FakeAccess:
    site = FakeAccess().site
    return FakeAccess(site.model_copy(update={"webmail": site.webmail.model_copy(update={"target": target})}))


@pytest.mark.parametrize(
    "target", ['https://x/"; root /etc', "https://x/;", "https://x/$host", "https://x/ y", "https://x/}"]
)
def test_a_target_that_would_end_the_string_is_refused(target: str) -> None:
    access = with_target(target)
    with pytest.raises(ChangeFailed, match="can't stand in nginx's configuration"):
        WebmailRedirect(access).apply()
    assert not access.remote("web").did("write")


def test_nginx_is_asked_before_it_is_reloaded() -> None:
    access = FakeAccess()
    WebmailRedirect(access).apply()
    commands = access.remote("web").commands
    assert commands[-2:] == ["nginx -t -q", "systemctl reload-or-restart nginx.service"]


def test_a_refused_snippet_is_put_back_and_nginx_not_reloaded() -> None:
    access = FakeAccess()
    host = access.remote("web")
    host.files[PATH] = b"# before\n"
    verdicts = iter([Finished(0, "", "", 0), Finished(1, "", "nginx: [emerg] duplicate", 0)])
    host.answers["nginx -t"] = lambda _: next(verdicts)
    with pytest.raises(ChangeFailed, match="duplicate"):
        WebmailRedirect(access).apply()
    assert host.files[PATH] == b"# before\n"
    assert not host.did("systemctl")


@pytest.mark.parametrize(
    ("said", "desired"),
    [
        ("302 https://sogo.obs.test/SOGo/", True),
        ("302 https://sogo.obs.test/SOGo", True),
        ("302 https://elsewhere.test/", False),
        ("200 ", False),
        ("000 ", False),
    ],
)
def test_the_redirect_is_there_when_a_browser_is_led_to_the_target(said: str, desired: bool) -> None:
    access = FakeAccess()
    change = WebmailRedirect(access)
    access.remote("web").files[PATH] = change.desired["file"]["text"].encode()
    access.remote("client").answers["curl"] = said
    assert change.is_desired(change.observe()) is desired


def test_the_address_is_one_word_of_the_command() -> None:
    access = FakeAccess()
    words: list[Any] = []
    access.remote("client").answers["curl"] = lambda command: words.extend(command) or "200 "
    WebmailRedirect(access).observe()
    assert words[-2:] == ["--", "https://webmail.obs.test/"]


def test_putting_back_what_is_back_already_asks_nginx_nothing() -> None:
    access = FakeAccess()
    access.remote("client").answers["curl"] = "200 "
    access.remote("web").answers["nginx -t"] = Finished(1, "", "broken by somebody", 0)
    change = WebmailRedirect(access)
    change.revert(change.observe())
    assert not access.remote("web").did("systemctl")


@pytest.mark.parametrize(
    ("http", "said"),
    [
        ("302 https://sogo.obs.test/SOGo/", ""),
        ("301 https://webmail.obs.test/", ""),
        ("000 ", ""),
        ("200 ", "still shows its own page"),
        ("302 https://elsewhere.test/", "still shows its own page"),
    ],
)
def test_who_comes_without_tls_is_led_on_too(http: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webmail, "ANSWER_SECONDS", 0.01)
    access = FakeAccess()
    access.remote("client").answers["curl"] = lambda words: (
        http if words[-1].startswith("http:") else "302 https://sogo.obs.test/SOGo/"
    )
    with pytest.raises(ChangeFailed, match=said) if said else contextlib.nullcontext():
        WebmailRedirect(access).verify()
