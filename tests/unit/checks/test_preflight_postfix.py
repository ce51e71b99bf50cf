"""What mail that is requeued at the MX passes a second time, by the answers of `postconf` of Postfix 3.7."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import pytest
from bascule.checks.preflight import postfix
from bascule.checks.preflight.finding import Finding

from lab.paths import CHECKOUT
from tests.unit.changes.fakes import FakeAccess, FakeHost

FILTER = "smtp:[127.0.0.1]:10024"
BACK = {"127.0.0.1:10025/inet/content_filter": "", "127.0.0.1:10025/inet/mynetworks": "127.0.0.0/8"}
SIGNER = "inet:127.0.0.1:8891"
GOES_PAST = "let requeued mail go past it (`postconf -P pickup/unix/content_filter=`)"


class Postfix(FakeHost):
    """Answers `postconf` for these settings of main.cf, and of services of master.cf (`service/type/setting`)."""

    def __init__(self, main: dict[str, str], services: dict[str, str]) -> None:
        super().__init__("mx")

        def of_main(command: Sequence[str]) -> str:
            return f"{main.get(command[-1], '')}\n"

        def of_services(command: Sequence[str]) -> str:
            found = [name for name in services if fnmatchcase(name, command[-1])]
            return "".join(f"{name} = {services[name]}".strip() + "\n" for name in found)

        self.answers = {"postconf -hx": of_main, "postconf -Px": of_services}


def look(main: dict[str, str], services: dict[str, str] | None = None) -> list[Finding]:
    access = FakeAccess()
    access.hosts["mx"] = Postfix(main, services or {})
    found = list(postfix.second_pass(access, "mx"))
    assert {finding.subject for finding in found} == {"mx: requeued mail"}
    return found


def test_what_a_message_meets_once_is_in_order() -> None:
    [found] = look({}, BACK)
    assert found.level == "ok"
    assert found.sentence == "no BCC and no content filter is met a second time by mail that waits during the freeze"


def test_a_milter_alone_signs_nothing_twice_and_is_named() -> None:
    """`postsuper -r` takes mail past the milters."""
    [found] = look({"smtpd_milters": SIGNER, "non_smtpd_milters": "unix:/run/opendkim.sock"})
    assert found.level == "ok"
    assert found.sentence.endswith(
        f"; Postfix takes it past `smtpd_milters` ({SIGNER}) and `non_smtpd_milters` (unix:/run/opendkim.sock), "
        "so none signs it twice"
    )


@pytest.mark.parametrize(
    ("main", "services"),
    [
        ({"smtpd_milters": SIGNER}, BACK),
        ({}, BACK | {"127.0.0.1:10025/inet/smtpd_milters": SIGNER}),
        ({"smtpd_milters": SIGNER}, BACK | {"smtp/inet/smtpd_milters": "", "smtp/inet/content_filter": FILTER}),
        ({"smtpd_milters": SIGNER}, BACK | {"127.0.0.1:10025/inet/receive_override_options": "no_address_mappings"}),
    ],
    ids=["of all services", "of the one that takes it back", "not at first", "an override that leaves milters"],
)
def test_a_milter_behind_the_content_filter_signs_twice(main: dict[str, str], services: dict[str, str]) -> None:
    filtered, signed = look({"content_filter": FILTER, **main}, services)
    assert [filtered.level, signed.level] == ["warning", "warning"]
    assert f"passes `content_filter` ({FILTER}) a second time" in filtered.sentence
    assert filtered.sentence.endswith(GOES_PAST)
    assert signed.sentence == (
        "mail that waits during the freeze comes back from `content_filter` through 127.0.0.1:10025 and passes "
        f"`smtpd_milters` ({SIGNER}) there a second time; one that signs with DKIM signs it twice: {GOES_PAST}"
    )


@pytest.mark.parametrize(
    "services",
    [
        {},
        BACK | {"127.0.0.1:10025/inet/smtpd_milters": ""},
        BACK | {"127.0.0.1:10025/inet/receive_override_options": "no_unknown_recipient_checks,no_milters"},
    ],
    ids=["no such service", "without milters of its own", "past all milters"],
)
def test_what_comes_back_past_the_milters_is_not_said_to_be_signed_twice(services: dict[str, str]) -> None:
    [found] = look({"content_filter": FILTER, "smtpd_milters": SIGNER}, services)
    assert "`smtpd_milters`" not in found.sentence


def test_mail_that_goes_past_the_content_filter_meets_no_milter_behind_it() -> None:
    services = BACK | {"pickup/unix/content_filter": ""}
    [found] = look({"content_filter": FILTER, "smtpd_milters": SIGNER}, services)
    assert found.level == "ok"
    [filtered, signed] = look({"smtpd_milters": SIGNER}, BACK | {"pickup/unix/content_filter": FILTER})
    assert (FILTER in filtered.sentence, SIGNER in signed.sentence) == (True, True)


def test_copies_are_told_beside_what_is_filtered() -> None:
    copied, filtered = look({"always_bcc": "archive@outside.test", "content_filter": FILTER})
    assert "copied a second time by `always_bcc` (archive@outside.test)" in copied.sentence
    assert FILTER in filtered.sentence


def test_the_task_until_whose_end_copies_go_elsewhere_is_one_of_the_freeze() -> None:
    [copied] = look({"always_bcc": "archive@outside.test"})
    _, _, task = copied.sentence.partition("from the freeze until `")
    assert f'task_id="{task.partition("`")[0]}"' in (CHECKOUT / "dags" / "freeze.py").read_text()


@pytest.mark.parametrize(
    ("written", "burst"),
    [
        ("RateLimitBurst=200", 200),
        ("RateLimitBurst = 200", 200),
        ("  RateLimitBurst=200 ", 200),
        ("RateLimitBurst=200\nRateLimitBurst=", 10_000),
        ("RateLimitBurst=many", 10_000),
        ("# RateLimitBurst=200", 10_000),
    ],
)
def test_the_limit_of_the_journal_is_read_as_systemd_reads_it(written: str, burst: int) -> None:
    mx = FakeHost("mx")
    mx.answers["systemd-analyze cat-config"] = f"# /etc/systemd/journald.conf\n[Journal]\n{written}\n"
    mx.answers["systemd-analyze timespan"] = "Original: 30s\n      μs: 30000000\n   Human: 30s\n"
    assert postfix.journal_limit(mx) == (burst, 30.0)
