"""The sample of logins: one account that is refused is a matter of that account, all of them a matter of the login."""

from pathlib import Path
from typing import Any

import imapclient
import pytest
from bascule import site
from bascule.checks.preflight import mail
from bascule.hosts.directory import Account

SITE = site.load(Path(__file__).parents[3] / "lab" / "site.yaml")


@pytest.mark.parametrize(
    ("refused", "levels"),
    [([], ["ok", "ok"]), (["bert"], ["warning", "ok"]), (["anna", "bert", "carl"], ["failure"])],
)
def test_logins_of_the_sample(monkeypatch: pytest.MonkeyPatch, refused: list[str], levels: list[str]) -> None:
    def log_in(access: Any, part: Any, account: str) -> frozenset[str]:
        if account in refused:
            raise imapclient.exceptions.LoginError("NO")
        return frozenset(mail.NEEDED["old"] | mail.HELPFUL["old"])

    monkeypatch.setattr(mail, "accounts", lambda _: [Account(name, "") for name in ("anna", "bert", "carl")])
    monkeypatch.setattr(mail, "_log_in", log_in)
    access: Any = type("Access", (), {"site": SITE})()
    found = list(mail.old_server(access))
    assert [finding.level for finding in found] == levels
    assert all(name in found[0].sentence for name in refused)


def test_a_login_that_nobody_tried_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "accounts", lambda _: [])
    access: Any = type("Access", (), {"site": SITE})()
    assert [finding.level for finding in mail.old_server(access)] == ["failure"]
