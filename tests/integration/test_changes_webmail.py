"""The webmail's redirect on a real nginx, seen from the client."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from bascule.changes import webmail
from bascule.changes.base import ChangeFailed
from bascule.changes.webmail import WebmailRedirect
from bascule.hosts.access import Access
from bascule.hosts.connections import AccessError

from tests.integration.changing import Changing, changing
from tests.integration.conftest import Lab

__all__ = ["changing"]
SNIPPET = "/etc/nginx/webmail.d/bascule.conf"
BROKEN = "/etc/nginx/conf.d/broken.conf"


@pytest.fixture(autouse=True)
def nginx_as_it_was(lab: Lab) -> Iterator[None]:
    yield
    lab.ssh("web", f"rm -f {SNIPPET} {BROKEN}; systemctl reload nginx")


def page(lab: Lab) -> str:
    return lab.ssh("client", "curl -sS -o /dev/null -w '%{http_code} %{redirect_url}' https://webmail.obs.test/")


def test_the_webmail_is_redirected_and_put_back(access: Access, changing: Changing, lab: Lab) -> None:
    changing.round_trip(lambda: WebmailRedirect(access))
    assert page(lab).startswith("200")


def test_a_browser_on_the_client_is_led_to_the_new_webmail(access: Access, changing: Changing, lab: Lab) -> None:
    changing.run(lambda: WebmailRedirect(access))
    assert page(lab) == "302 https://sogo.obs.test/SOGo/"
    assert "302" in lab.ssh("client", "curl -sS -o /dev/null -w '%{http_code}' https://webmail.obs.test/inbox?folder=1")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_every_page_and_every_calendar_program_is_led_on_by_http_and_https(
    access: Access, changing: Changing, lab: Lab, scheme: str
) -> None:
    changing.run(lambda: WebmailRedirect(access))

    def led(path: str, *options: str) -> str:
        words = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", *options]
        return lab.ssh("client", *words, f"{scheme}://webmail.obs.test{path}").strip()

    for path in ("/", "/?_task=mail&_mbox=INBOX&_uid=7", "/horde/imp/", "/a%20b/%0d%0aSet-Cookie:x", "/index.html"):
        assert led(path) == "302 https://sogo.obs.test/SOGo/", path
    assert led("/login.php", "--data", "login=x&password=y") == "302 https://sogo.obs.test/SOGo/"
    for service in ("caldav", "carddav"):
        assert led(f"/.well-known/{service}", "-X", "PROPFIND") == "302 https://sogo.obs.test/SOGo/dav/"


def test_a_page_that_is_left_without_tls_is_an_error(
    lab: Lab, access: Access, changing: Changing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webmail, "ANSWER_SECONDS", 2)
    block = "/etc/nginx/sites-enabled/default"
    lab.ssh(
        "web", f"set -e; cp {block} /root/webmail; sed -i '0,/include/{{/include/d}}' {block}; systemctl reload nginx"
    )
    try:
        with pytest.raises(ChangeFailed, match=r"http://webmail\.obs\.test/ still shows its own page"):
            changing.run(lambda: WebmailRedirect(access))
    finally:
        lab.ssh("web", f"mv /root/webmail {block}; systemctl reload nginx")
        changing.put_back(lambda: WebmailRedirect(access))


def test_a_configuration_that_was_broken_before_is_left_alone(access: Access, changing: Changing, lab: Lab) -> None:
    lab.write("web", BROKEN, "no_such_directive;\n")
    with pytest.raises(ChangeFailed, match=r"is broken already, nothing was changed(?s:.*)no_such_directive"):
        changing.run(lambda: WebmailRedirect(access))
    assert lab.ssh("web", f"ls {SNIPPET} 2>/dev/null || true") == ""
    assert page(lab).startswith("200")


def test_a_redirect_that_nginx_refuses_is_taken_back_at_once(lab: Lab, changing: Changing, tmp_path: Path) -> None:
    template = tmp_path / "broken.j2"
    template.write_text("return 302 {{ target }}\n")  # its semicolon is missing
    part = lab.site.webmail.model_copy(update={"template": str(template)})
    access = lab.access(lab.site.model_copy(update={"webmail": part}))
    lab.write("web", SNIPPET, "# a person's\n")
    with pytest.raises(ChangeFailed, match="nginx refuses the redirect"):
        changing.run(lambda: WebmailRedirect(access))
    assert lab.ssh("web", "cat", SNIPPET) == "# a person's\n"
    lab.ssh("web", "nginx", "-t")
    access.close()


def test_a_file_that_was_written_but_not_loaded_is_loaded(access: Access, changing: Changing, lab: Lab) -> None:
    lab.write("web", SNIPPET, WebmailRedirect(access).desired["file"]["text"])
    assert page(lab).startswith("200")
    changing.run(lambda: WebmailRedirect(access))
    assert page(lab).startswith("302")


def test_a_snippet_that_is_included_nowhere_is_an_error(
    lab: Lab, changing: Changing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webmail, "ANSWER_SECONDS", 1)
    part = lab.site.webmail.model_copy(update={"path": "/etc/nginx/forgotten/bascule.conf"})
    access = lab.access(lab.site.model_copy(update={"webmail": part}))
    with pytest.raises(ChangeFailed, match=r"is /etc/nginx/forgotten/bascule\.conf included"):
        changing.run(lambda: WebmailRedirect(access))
    changing.put_back(lambda: WebmailRedirect(access))
    access.close()


def test_the_web_servers_host_being_down_is_said(lab: Lab, changing: Changing) -> None:
    lab.power("web", "off")
    access = lab.access()
    try:
        with pytest.raises(AccessError, match=r"web\.obs\.test can't be reached by SSH"):
            changing.run(lambda: WebmailRedirect(access))
    finally:
        lab.power("web", "on")
        access.close()
