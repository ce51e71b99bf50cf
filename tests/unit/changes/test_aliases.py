"""Alias maps: reading a Postfix table, whose file it is, and what may stand in it."""

from typing import Any

import pytest
from bascule.changes import aliases
from bascule.changes.aliases import HEADER, AliasMap, entries_of
from bascule.changes.base import ChangeFailed
from bascule.changes.files import digest
from bascule.hosts.directory import Account
from bascule.hosts.ssh import Finished

from tests.unit.changes.fakes import FakeAccess

MAP = "/etc/postfix/virtual"


@pytest.fixture
def access(monkeypatch: pytest.MonkeyPatch) -> FakeAccess:
    made = FakeAccess()
    people = {"ada": ["ada@new.obs.test"], "bob": ["bob@old.obs.test"], "guest": []}
    set_accounts(monkeypatch, people)
    return made


def set_accounts(monkeypatch: pytest.MonkeyPatch, people: dict[str, list[str]]) -> None:
    found = [Account(name, f"uid={name}", {"MailRoutingAddress": values}) for name, values in people.items()]
    monkeypatch.setattr(aliases.directory, "accounts", lambda *_: found)


def answer_lookups(access: FakeAccess) -> None:
    """Postfix finds what stands in the file."""
    host = access.remote("mx")

    def look_up(command: Any) -> Finished:
        path = command[-1].partition(":")[2]
        text = host.files.get(path, b"").decode()
        return Finished(0, "".join(f"{key}\t{value}\n" for key, value in entries_of(text).items()), "", 0)

    def move(command: Any) -> str:
        if command[-2] in host.files:
            host.files[command[-1]] = host.files.pop(command[-2])
        return ""

    host.answers |= {"postmap -q": look_up, "mv -f": move, "postconf": f"virtual_alias_maps = hash:{MAP}\n"}


def test_a_table_is_read_as_postmap_reads_it() -> None:
    text = "# comment\n\nAda@Obs.test ada@new.test\nlist@obs.test a@x,\n\tb@x\n  # comment\nlonely\n"
    assert entries_of(text) == {"ada@obs.test": "ada@new.test", "list@obs.test": "a@x,\tb@x"}


def test_the_map_has_accounts_roles_and_the_addresses_that_mail_had_before(access: FakeAccess) -> None:
    entries = entries_of(AliasMap(access).desired["file"]["text"])
    assert entries["ada@obs.test"] == "ada@new.obs.test"
    assert entries["bob@obs.test"] == "bob@old.obs.test"
    assert "guest@obs.test" not in entries
    assert entries["bureau@obs.test"] == "accueil@obs.test, direction@obs.test"
    assert entries["ada@old.obs.test"] == "ada@new.obs.test"
    assert "bob@old.obs.test" not in entries


def test_mail_of_an_account_that_is_sent_back_goes_the_other_way(access: FakeAccess) -> None:
    change = AliasMap(access, sent_back=["bob"])
    entries = entries_of(change.desired["file"]["text"])
    assert entries["bob@new.obs.test"] == "bob@old.obs.test"
    assert "bob@old.obs.test" not in entries
    assert entries["ada@old.obs.test"] == "ada@new.obs.test"
    assert AliasMap(access, **change.parameters).desired == change.desired


def test_the_first_line_carries_the_hash_of_the_rest(access: FakeAccess) -> None:
    header, _, body = AliasMap(access).desired["file"]["text"].partition("\n")
    assert header == HEADER + digest(body)


@pytest.mark.parametrize(
    "hostile", ["a@x b@x", "a@x\nroot@obs.test b@x", "|rm -rf /", ":include:/etc/passwd", "a@x,b@x", "#", "a@x\n"]
)
def test_values_that_could_mean_something_else_to_postfix_are_refused(
    access: FakeAccess, monkeypatch: pytest.MonkeyPatch, hostile: str
) -> None:
    set_accounts(monkeypatch, {"ada": [hostile]})
    with pytest.raises(ChangeFailed, match=r"of ada\) can't stand in an alias map"):
        AliasMap(access).apply()
    assert not access.remote("mx").did("write")


def test_the_map_is_looked_up_before_it_takes_the_place_of_the_old_one(access: FakeAccess) -> None:
    answer_lookups(access)
    AliasMap(access).apply()
    commands = [
        line.split()[0] for line in access.remote("mx").commands if line.split()[0] in ("postmap", "mv", "postfix")
    ]
    assert commands == ["postmap", "postmap", "mv", "mv", "postfix", "postfix"]


def test_a_map_in_which_postfix_does_not_find_everything_never_takes_its_place(access: FakeAccess) -> None:
    answer_lookups(access)
    access.remote("mx").files[MAP] = b"postmaster@obs.test root\n"
    access.remote("mx").answers["postmap -q"] = Finished(1, "", "", 0)
    with pytest.raises(ChangeFailed, match="the old map is still in place"):
        AliasMap(access).apply()
    assert access.remote("mx").files[MAP] == b"postmaster@obs.test root\n"


def test_an_edit_in_any_place_of_our_file_is_seen(access: FakeAccess) -> None:
    answer_lookups(access)
    AliasMap(access).apply()
    host = access.remote("mx")
    host.files[MAP] = host.files[MAP].replace(b"accueil@obs.test", b"accueil@obs.tset", 1)
    with pytest.raises(ChangeFailed, match="was edited by hand after Bascule wrote it"):
        AliasMap(access).apply()


def test_a_stopped_postfix_is_not_reloaded(access: FakeAccess) -> None:
    answer_lookups(access)
    access.remote("mx").answers["postfix status"] = Finished(1, "", "not running", 0)
    AliasMap(access).apply()
    assert not access.remote("mx").did("postfix reload")


def test_an_address_of_the_sample_that_the_map_lacks_is_an_error(access: FakeAccess) -> None:
    part = access.site.aliases.model_copy(update={"sample": ["absent@obs.test"]})
    other = FakeAccess(access.site.model_copy(update={"aliases": part}))
    answer_lookups(other)
    AliasMap(other).apply()
    with pytest.raises(ChangeFailed, match=r"does not find absent@obs\.test"):
        AliasMap(other).verify()
