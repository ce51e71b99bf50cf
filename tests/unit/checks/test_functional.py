"""Functional tests: which there are, and what is made of what the client saw."""

import ast
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bascule.checks.functional import delivery
from bascule.checks.functional import run as functional
from bascule.hosts.connections import AccessError, Connection
from bascule.hosts.ssh import Finished
from bascule.remote import client, client_filters
from bascule.site import FunctionalTestsPart, OutsidePart, PointPart

BASE: dict[str, Any] = {
    "run_from": "client",
    "account": "sonde",
    "connection": "probe",
    "address": "sonde@obs.test",
    "mx": "mx.obs.test",
}


def site(**extra: Any) -> Any:
    part = SimpleNamespace(name="imap.obs.test", port=993)
    return SimpleNamespace(
        domain="obs.test",
        functional_tests=FunctionalTestsPart(**BASE, **extra),
        mailboxes=SimpleNamespace(pop3=None, uids="keep where possible"),
        service_addresses=SimpleNamespace(imap=part, pop=part),
        webmail=SimpleNamespace(url="https://old.test/", target="https://new.test/SOGo/"),
    )


POINT = PointPart(name="new.obs.test", port=587)
EVERYTHING: dict[str, Any] = {
    "calendar_url": "https://x/",
    "submission": POINT,
    "sieve": POINT,
    "addresses": {"role": "postmaster@obs.test"},
    "outside": OutsidePart(address="v@outside.test", host="client", maildir="/var/mail/outside"),
    "quota": True,
    "mail_program": True,
    "browser": "/usr/bin/chromium",
}


def everything() -> Any:
    """A site that asks for every test."""
    return site(**EVERYTHING)


class FakeClient:
    """A host that answers each function with what the test gives, and remembers what it was sent."""

    name = "client"

    def __init__(self, **answers: Any) -> None:
        self.answers, self.commands, self.inputs = answers, [], []

    def run(self, command: list[str], *, input: bytes = b"", **_: Any) -> Finished:
        self.commands.append(command)
        self.inputs.append(input.decode())
        request = ast.literal_eval(input.decode().rsplit("answer(", 1)[1].strip()[:-1])
        answer = self.answers[request["function"]]
        return Finished(0, ascii(answer if "failed" in answer else {"done": answer}), "", 0.0)


def access(there: FakeClient, **extra: Any) -> Any:
    connections = SimpleNamespace(get=lambda name: Connection(name, "", login="sonde", password="hunter2"))
    return SimpleNamespace(site=site(**extra), connections=connections, remote=lambda _: there)


def test_only_what_the_site_file_gives_is_tested() -> None:
    assert functional.functional_tests(site()) == [
        "imap-login",
        "pop3-login",
        "mail-arrives-once",
        "webmail-redirect",
    ]
    assert functional.functional_tests(everything())[4:] == [
        "mail-to-role",
        "calendar-event",
        "submission",
        "managesieve-login",
        "mail-to-outside",
        "vacation-answers-once",
        "quota-refuses",
        "mail-program-with-a-cache",
        "webmail-in-a-browser",
    ]


def test_no_secret_stands_in_a_command() -> None:
    there = FakeClient(imap_login={"selected": True, "messages": 3})
    assert functional.run_functional_test(access(there), "imap-login").ok
    assert there.commands == [["python3", "-"]]
    assert "hunter2" in there.inputs[0]


def test_what_the_client_could_not_do_is_evidence() -> None:
    there = FakeClient(imap_login={"failed": "the certificate is not valid for imap.obs.test: expired"})
    evidence = functional.run_functional_test(access(there), "imap-login")
    assert not evidence.ok
    assert "expired" in evidence.sentence


NOTICED = {"had": 3, "has": 4, "anew": 0, "came": 1, "lost": 0, "doubled": 0, "words": ""}


@pytest.mark.parametrize(
    ("seen", "ok"),
    [({}, True), ({"anew": 1}, False), ({"lost": 1}, False), ({"doubled": 1}, False), ({"had": 0}, False),
     ({"words": "UIDVALIDITY of far changed"}, False)],
)  # fmt: skip
def test_what_a_mail_program_with_a_cache_must_not_notice(seen: dict[str, Any], ok: bool) -> None:
    there = FakeClient(mail_program=NOTICED | seen)
    assert functional.run_functional_test(access(there, mail_program=True), "mail-program-with-a-cache").ok is ok


def test_a_client_that_is_away_is_evidence() -> None:
    def away(_: str) -> Any:
        raise AccessError("client can't be reached")

    seen = access(FakeClient())
    seen.remote = away
    assert functional.run_functional_test(seen, "pop3-login").sentence.startswith("client can't be reached. Look at ")


def test_a_mistake_of_ours_is_evidence_without_a_word_of_python(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Any) -> Any:
        return None.login  # type: ignore[attr-defined]

    monkeypatch.setitem(functional.ALWAYS, "imap-login", broken)
    evidence = functional.run_functional_test(access(FakeClient()), "imap-login")

    assert not evidence.ok and "None" not in evidence.sentence
    assert "a mistake in Bascule stopped this test (run.py, line " in evidence.sentence
    assert f"Look at {functional.look_at('imap-login')}" in evidence.sentence


def test_a_test_that_could_not_be_done_says_what_to_look_at() -> None:
    names = functional.functional_tests(everything())
    there = FakeClient(**{key: {"failed": "imap.obs.test:993: Connection refused"} for key in dir(client)})
    for name in (*names, "pop3-uidls"):
        assert len(functional.look_at(name)) > 10
    for name in set(names) - {"webmail-in-a-browser"}:
        sentence = functional.run_functional_test(access(there, **EVERYTHING), name).sentence
        assert "Connection refused" in sentence
        assert f"Look at {functional.look_at(name)}" in sentence


@pytest.mark.parametrize(
    ("folders", "ok", "words"),
    [
        (["Tests"], True, "once in Tests"),
        (["INBOX"], False, "in INBOX, not in Tests"),
        (["Tests", "INBOX"], False, "2 times, in Tests, INBOX"),
        ([], False, "did not come"),
    ],
)
def test_a_message_must_be_there_once_and_filed(folders: list[str], ok: bool, words: str) -> None:
    there = FakeClient(send={"refused": {}}, find_message={"folders": folders}, remove_message={"removed": 1})
    evidence = delivery.mail_arrives(access(there, filter_folder="Tests"))
    assert evidence.ok is ok
    assert words in evidence.sentence


def test_a_message_that_the_mx_refuses_is_told_with_its_words() -> None:
    there = FakeClient(send={"refused": {"sonde@obs.test": "550 unknown"}})
    evidence = functional.run_functional_test(access(there), "mail-arrives-once")
    assert "550 unknown" in evidence.sentence
    assert not evidence.ok


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ({"status": 200, "url": "https://old.test/", "steps": [], "text": "SOGo"}, "doesn't redirect"),
        ({"status": 200, "url": "https://evil.test/", "steps": [[302, "x"]], "text": "SOGo"}, "leads to https://evil"),
        ({"status": 200, "url": "https://new.test/SOGo/", "steps": [[302, "x"]], "text": "hi"}, "no login page"),
    ],
)
def test_a_redirect_that_leads_elsewhere_fails(seen: dict[str, Any], words: str) -> None:
    evidence = functional.run_functional_test(access(FakeClient(web_page=seen)), "webmail-redirect")
    assert not evidence.ok
    assert words in evidence.sentence


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("", 'require ["vacation"];\nACT;'),
        ('require "fileinto";\nfileinto "x";', 'require ["vacation"];\nrequire "fileinto";\nACT;fileinto "x";'),
        (
            '# mine\nrequire [\n"a",\n"b"];\n/* if */ if true { stop; }',
            'require ["vacation"];\n# mine\nrequire [\n"a",\n"b"];\n/* if */ ACT;if true { stop; }',
        ),
    ],
)
def test_an_action_stands_before_the_rest_of_a_filter(script: str, expected: str) -> None:
    assert client_filters.with_action(script, "ACT;") == expected


def test_the_calendar_client_is_curl_and_its_login_is_in_no_list_of_processes(tmp_path: Path, monkeypatch: Any) -> None:
    curl = tmp_path / "curl"
    curl.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/commands\ncat >> {tmp_path}/configs\nprintf "text\\n201"\n')
    curl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    login = {"user": "sonde", "password": 'hun"ter\\2', "authority": "PEM"}
    seen = client.calendar_event({"url": "https://x/cal/", "name": "é.ics", "event": "BEGIN", **login})
    assert (seen["written"], seen["text"]) == (201, "text")
    configs = (tmp_path / "configs").read_text()
    assert 'user = "sonde:hun\\"ter\\\\2"' in configs
    assert 'url = "https://x/cal/%C3%A9.ics"' in configs
    assert 'write-out = "\\n%{http_code}"' in configs
    assert "hun" not in (tmp_path / "commands").read_text()


def test_what_curl_says_is_told(tmp_path: Path, monkeypatch: Any) -> None:
    curl = tmp_path / "curl"
    curl.write_text("#!/bin/sh\necho 'curl: (60) SSL certificate problem: expired' >&2\nexit 60\n")
    curl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    request = {
        "function": "calendar_event",
        "url": "https://x/",
        "name": "e.ics",
        "event": "",
        "user": "",
        "password": "",
    }
    assert "certificate problem: expired" in client.run(request)["failed"]


@pytest.mark.parametrize("error", [AttributeError("'NoneType' object has no attribute 'split'"), ValueError("base 10")])
def test_an_answer_that_nobody_foresaw_is_told_without_python_s_words(monkeypatch: Any, error: Exception) -> None:
    def broken(_: Any) -> Any:
        raise error

    monkeypatch.setitem(client.FUNCTIONS, "imap_login", broken)
    said = client.run({"function": "imap_login", "host": "imap.obs.test", "port": 993})

    assert said == {"failed": "imap.obs.test:993: its answer is not one that this test understands"}
