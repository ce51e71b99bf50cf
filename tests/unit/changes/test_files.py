"""Files of a host: kept in the journal, and put back as they were."""

import json

import pytest
from bascule.changes import files
from bascule.changes.base import ChangeFailed
from bascule.hosts.ssh import CommandFailed, Finished, RemoteHost

from tests.unit.changes.fakes import FakeHost

PATH = "/etc/postfix/virtual"


@pytest.mark.parametrize("data", [b"", b"text \xc3\xa9\n", b"\xff\xfe not UTF-8", b"\x00"])
def test_a_file_goes_through_the_journal_unchanged(data: bytes) -> None:
    host = FakeHost()
    host.files[PATH] = data
    state = json.loads(json.dumps(files.snapshot(host, PATH)))
    host.files.clear()
    files.restore(host, PATH, state)
    assert host.files == {PATH: data}


def test_no_file_is_put_back_as_no_file() -> None:
    host = FakeHost()
    host.files[PATH] = b"x"
    files.restore(host, PATH, None)
    assert host.files == {}


def test_another_owner_is_given_its_file_back() -> None:
    host = FakeHost()
    files.restore(host, PATH, {"text": "x", "mode": "640", "owner": "root:postfix"})
    assert host.did(f"chown -- root:postfix {PATH}")


@pytest.mark.parametrize(
    ("error", "expected"),
    [("cat: /x: No such file or directory", None), ("sudo: a password is required", CommandFailed)],
)
def test_a_file_that_can_not_be_read_is_not_taken_for_one_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, error: str, expected: type[Exception] | None
) -> None:
    host = RemoteHost("old", lambda: None)  # type: ignore[arg-type, return-value]
    monkeypatch.setattr(host, "_execute", lambda *_: (1, b"", error.encode()))
    if expected is None:
        assert host.read_file("/x") is None
    else:
        with pytest.raises(expected):
            host.read_file("/x")


def test_a_refused_stat_is_not_taken_for_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    host = FakeHost()
    monkeypatch.setattr(host, "_answer", lambda *_: Finished(1, "", "sudo: a password is required", 0))
    with pytest.raises(CommandFailed):
        files.snapshot(host, PATH)


@pytest.mark.parametrize("template", ["no-such-template.j2", "aliases.j2"])
def test_a_template_that_is_missing_or_lacks_a_value_is_named(template: str) -> None:
    with pytest.raises(ChangeFailed, match=template):
        files.render(template)
