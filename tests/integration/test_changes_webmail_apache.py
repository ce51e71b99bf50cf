"""The webmail's redirect on a real Apache, seen from the client: http and https, deep links, calendar programs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from bascule.changes.base import ChangeFailed
from bascule.changes.webmail import WebmailRedirect
from bascule.hosts.access import Access

from tests.integration.changing import Changing, changing
from tests.integration.conftest import Lab

__all__ = ["changing"]
SNIPPET = "/etc/apache2/webmail.d/bascule.conf"
BROKEN = "/etc/apache2/conf-enabled/broken.conf"
HTTPS, HTTP = "https://webmail.obs.test:8443", "http://webmail.obs.test:8080"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36"
SOGO = "https://sogo.obs.test/SOGo/"


@pytest.fixture
def apache(lab: Lab) -> Iterator[Access]:
    """The lab's site with its old webmail on the Apache beside nginx."""
    changed = {"kind": "apache", "path": SNIPPET, "url": f"{HTTPS}/"}
    access = lab.access(lab.site.model_copy(update={"webmail": lab.site.webmail.model_copy(update=changed)}))
    yield access
    access.close()
    lab.ssh("web", f"rm -f {SNIPPET} {BROKEN}; systemctl reload apache2")


def answer(lab: Lab, url: str, *options: str) -> str:
    """Status and Location, as the client's host sees them."""
    words = "%{http_code} %{redirect_url}"
    return lab.ssh("client", "curl", "-sS", "-o", "/dev/null", "-w", words, *options, url).strip()


def test_the_webmail_is_redirected_and_put_back(apache: Access, changing: Changing, lab: Lab) -> None:
    changing.round_trip(lambda: WebmailRedirect(apache))
    assert answer(lab, f"{HTTPS}/") == "200"
    assert answer(lab, f"{HTTP}/") == "200"


def test_http_and_https_and_every_page_lead_to_the_new_webmail(apache: Access, changing: Changing, lab: Lab) -> None:
    changing.run(lambda: WebmailRedirect(apache))
    for page in (f"{HTTPS}/", f"{HTTP}/", f"{HTTP}/horde/imp/", f"{HTTPS}/a%20b/../c", f"{HTTPS}/index.html"):
        assert answer(lab, page) == f"302 {SOGO}", page
    assert answer(lab, f"{HTTPS}/login.php", "--data", "login=x&password=y") == f"302 {SOGO}"


def test_a_deep_link_of_the_old_webmail_ends_at_the_login_page(apache: Access, changing: Changing, lab: Lab) -> None:
    changing.run(lambda: WebmailRedirect(apache))
    link = f"{HTTPS}/?_task=mail&_mbox=INBOX&_uid=7&_action=show"
    shown = lab.ssh("client", "curl", "-sSL", "-A", BROWSER, "-w", "\n%{http_code} %{url_effective}", link)
    status, _, ended_at = shown.splitlines()[-1].partition(" ")
    assert status == "200"
    assert ended_at == SOGO
    assert "app.creds.username" in shown


@pytest.mark.parametrize("service", ["caldav", "carddav"])
@pytest.mark.parametrize("base", [HTTPS, HTTP])
def test_calendar_programs_are_led_to_sogo_and_answered(
    apache: Access, changing: Changing, lab: Lab, service: str, base: str
) -> None:
    changing.run(lambda: WebmailRedirect(apache))
    asked = ["-X", "PROPFIND", "-H", "Depth: 0"]
    assert answer(lab, f"{base}/.well-known/{service}", *asked) == f"302 {SOGO}dav/"
    login = ["--location-trusted", "--user", f"sonde:{lab.secrets.password_of('sonde')}"]
    assert answer(lab, f"{base}/.well-known/{service}", *asked, *login) == "207"


def test_a_redirect_that_apache_refuses_is_taken_back_at_once(
    apache: Access, changing: Changing, lab: Lab, tmp_path: Path
) -> None:
    template = tmp_path / "broken.j2"
    template.write_text('RedirectMatch 302 "(" "{{ target }}"\n')
    lab.write("web", SNIPPET, "# a person's\n")
    broken = apache.site.webmail.model_copy(update={"template": str(template)})
    access = lab.access(apache.site.model_copy(update={"webmail": broken}))
    with pytest.raises(ChangeFailed, match="Apache refuses the redirect"):
        changing.run(lambda: WebmailRedirect(access))
    access.close()
    assert lab.ssh("web", "cat", SNIPPET) == "# a person's\n"
    lab.ssh("web", "apache2ctl", "configtest")
    assert answer(lab, f"{HTTPS}/") == "200"


def test_a_configuration_that_was_broken_before_is_left_alone(apache: Access, changing: Changing, lab: Lab) -> None:
    lab.write("web", BROKEN, "NoSuchDirective on\n")
    with pytest.raises(ChangeFailed, match=r"is broken already, nothing was changed(?s:.*)NoSuchDirective"):
        changing.run(lambda: WebmailRedirect(apache))
    assert lab.ssh("web", f"ls {SNIPPET} 2>/dev/null || true") == ""
