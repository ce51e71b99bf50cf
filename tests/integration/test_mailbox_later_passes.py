"""What a later pass meets: names that new has got since, folders made anew or renamed on old, numbers gone down."""

import re
import time
from collections.abc import Callable

import pytest
import sqlalchemy
from bascule.ledger import LedgerAway
from bascule.mailbox import sync
from bascule.problems import questions

from tests.imap_places import Box, Places
from tests.imap_relay import answered, relayed, replaced
from tests.mail_servers import dovecot, mail_directory
from tests.mailbox_states import Account, parse

USES = {"Sent": "Sent Items", "Trash": "Deleted Items", "Drafts": "Entwürfe", "Junk": "Spam"}


def special(separator: str, **names: str) -> Callable[[bytes], bytes]:
    """LIST answers in which folders of these names (as people read them) bear a special use."""

    def rewrite(line: bytes) -> bytes:
        for use, name in names.items():
            raw = Account(0, "", separator).wire_name(name).encode().strip(b'"')
            pattern = rb'\* LIST \(([^)]*)\) "%s" "?%s"?\r\n' % (re.escape(separator.encode()), re.escape(raw))
            line = re.sub(pattern, rb'* LIST (\1 \\%s) "%s" "%s"\r\n' % (use.encode(), separator.encode(), raw), line)
        return line

    return rewrite


@pytest.mark.parametrize("use", USES)
def test_the_name_that_a_folder_once_got_stays_its_name(box: Box, use: str) -> None:
    """The folder that bears the use on new has another name; a folder below it makes a parent of old's name there."""
    name = USES[use]
    box.fill(f"{name}: a b c; {name}/2019: d", f"{use}:")
    with (
        relayed(box.old.port, answers=special(".", **{use: name})) as box.old_port,
        relayed(box.new.port, answers=special("/", **{use: use})) as box.new_port,
    ):
        assert box.sync().problems == 0
        assert box.read_new() == parse(f"{use}: a b c; {use}/2019: d")
        with box.on_new() as account:
            account.client.create(account.wire_name(name))
        box.settled()
        box.fill(f"{name}: a b c e; {name}/2019: d; {name}/2020: f")
        assert box.sync().problems == 0
        assert box.read_new() == parse(f"{use}: a b c e; {use}/2019: d; {use}/2020: f; {name}:")
        box.settled()
        assert not box.verify("content").differences


# each: what is done on old after the first pass, and what new has in the end

Act = Callable[[Account], None]


def anew(folder: str, state: str) -> Act:
    def act(account: Account) -> None:
        account.client.delete(account.wire_name(folder))
        account.client.create(account.wire_name(folder))
        for name in state.split():
            account.append(folder, name)

    return act


def rename(one: str, other: str) -> Act:
    return lambda account: account._ok(account.client.rename(account.wire_name(one), account.wire_name(other)))


def archive(account: Account) -> None:
    rename("A", "B")(account)
    account.client.create(account.wire_name("A"))
    account.append("A", "z")


def swap(account: Account) -> None:
    for one, other in (("A", "C"), ("B", "A"), ("C", "B")):
        rename(one, other)(account)


MADE_ANEW: dict[str, tuple[str, Act, str]] = {
    "made anew with other mail": ("Z: a b c d e f", anew("Z", "x y z"), "Z: x y z"),
    "made anew with some of its mail": ("Z: a b/S c d e/F+work f", anew("Z", "b e z"), "Z: b/S e/F+work z"),
    "made anew and empty": ("Z: a b c", anew("Z", ""), "Z:"),
    "yearly archive": ("A: a b/S c", archive, "A: z; B: a b/S c"),
    "two names swapped": ("A: a b c; B: d e", swap, "A: d e; B: a b c"),
    "renamed with what lies below": ("A: a; A/B: b; A/B/C: c", rename("A", "Q"), "Q: a; Q/B: b; Q/B/C: c"),
    "renamed to below another": ("A: a; A/B: b; K: k", rename("A", "K/A"), "K: k; K/A: a; K/A/B: b"),
}


@pytest.mark.parametrize("kind", MADE_ANEW)
def test_what_old_has_no_more_goes_from_new(box: Box, kind: str) -> None:
    state, act, expected = MADE_ANEW[kind]
    box.fill(state)
    assert box.sync().problems == 0
    time.sleep(1.1)  # Dovecot's UIDVALIDITY is a time in seconds
    with box.on_old() as account:
        act(account)
    assert box.sync().problems == 0
    assert without_flags_of_made_anew(box, expected)
    box.settled()
    assert not box.verify("content").differences


def without_flags_of_made_anew(box: Box, expected: str) -> bool:
    """Flags that a message had on new stay with it when it is met again, as its owner's would."""
    return {name: sorted(m for m, _ in found.elements()) for name, found in box.read_new().items()} == {
        name: sorted(m for m, _ in found.elements()) for name, found in parse(expected).items()
    }


def test_what_its_owner_has_changed_or_had_before_stays_in_a_folder_that_is_made_anew(box: Box) -> None:
    box.fill("Z: a b c d", "Z: d q")
    box.sync()
    box.fill(new="Z: a/F b c d q")
    time.sleep(1.1)
    with box.on_old() as account:
        anew("Z", "x")(account)
    assert box.sync().problems == 0
    assert box.read_new() == parse("Z: a/F d q x")
    box.settled()


def test_uidvalidity_lost_and_some_removed(box: Box) -> None:
    box.fill("Z: a/S b/F c d/+work e f g")
    box.sync()
    box.fill(new="Z: a/S b c/A d/+work e f g")
    time.sleep(1.1)
    with box.on_old() as account:
        account.client.create(account.wire_name("T"))
        account.client.select(account.wire_name("Z"))
        account.client.uid("COPY", "1:4", account.wire_name("T"))
        account.client.select()
        account.client.delete(account.wire_name("Z"))
        rename("T", "Z")(account)
    assert box.sync().problems == 0
    assert box.read_new() == parse("Z: a/S b c/A d/+work"), "users' changes are still told from old's"
    box.settled()
    assert not box.verify("content").differences


def test_empty_folders_that_bascule_made_do_not_stay_and_others_do(box: Box) -> None:
    box.fill("A: a; A/B: b; A/B/C: c; M/N: n", "M: m")
    box.sync()
    with box.on_old() as account:
        for one in ("A/B/C", "A/B", "A", "M/N"):
            account.client.delete(account.wire_name(one))
    assert box.sync().problems == 0
    assert box.read_new() == parse("M: m")
    box.settled()


# -- numbers that only may rise


@pytest.mark.parametrize("further", [0, 4, 40], ids=["below", "near", "above"])
def test_an_index_that_was_lost_on_old_hides_no_change(places: Places, box: Box, further: int) -> None:
    """HIGHESTMODSEQ begins anew under the same UIDVALIDITY, and may have come near the remembered one, or above it."""
    with mail_directory() as home, dovecot(home / "old") as server:
        box.old = type(box.old)(server, ".")
        box.fill("INBOX: a b c d e f g h")
        with box.on_old() as account:
            account.client.select()
            for _ in range(8):
                account.client.uid("STORE", "8", "+FLAGS", "(\\Answered)")
                account.client.uid("STORE", "8", "-FLAGS", "(\\Answered)")
        assert box.sync().problems == 0
        for path in (home / "old" / "mail" / box.user / "Maildir").glob("dovecot.index*"):
            path.unlink()
        with box.on_old() as account:
            account.client.select()
            account.client.uid("STORE", "1:3", "+FLAGS", "(\\Seen)")
            account.client.uid("STORE", "4", "+FLAGS", "(\\Flagged)")
            account.client.uid("STORE", "5:6", "+FLAGS", "(\\Deleted)")
            account.client.expunge()
            for _ in range(further):
                account.client.uid("STORE", "8", "+FLAGS", "(\\Answered)")
                account.client.uid("STORE", "8", "-FLAGS", "(\\Answered)")
            account.append("INBOX", "i")
        assert box.sync().problems == 0
        assert box.read_new() == parse("INBOX: a/S b/S c/S d/F g h i")
        box.settled()
        assert not box.verify("content").differences


@pytest.mark.parametrize("side", ["old", "new"])
@pytest.mark.parametrize("told", ["1", "same"])
def test_a_modseq_that_does_not_fit_proves_nothing(box: Box, side: str, told: str) -> None:
    box.fill("INBOX: a b c d")
    box.sync()
    with box.on_old() as account:
        account.client.select()
        told = "1" if told == "1" else _highest(box, side)
    box.fill("INBOX: a/S b d e", "INBOX: a b/F d")
    frozen = replaced(rb"HIGHESTMODSEQ \d+", b"HIGHESTMODSEQ " + told.encode())
    quiet = replaced(rb"^(B\d+ UID FETCH .* \(CHANGEDSINCE) \d+", rb"\1 999999")
    place = box.old if side == "old" else box.new
    with relayed(place.port, answers=frozen, commands=quiet) as port:
        box.old_port, box.new_port = (port, 0) if side == "old" else (0, port)
        box.sync()
        assert box.read_new() == parse("INBOX: a/S b/F d e")
        assert not box.verify("content").differences


def _highest(box: Box, side: str) -> str:
    with box.on_old() if side == "old" else box.on_new() as account:
        return re.search(rb"HIGHESTMODSEQ (\d+)", account.client.status("INBOX", "(HIGHESTMODSEQ)")[1][0])[1].decode()  # type: ignore[index]


def test_uidnext_that_went_down_means_other_messages(box: Box) -> None:
    box.fill("INBOX: a b c d")
    box.sync()
    with box.on_old() as account:
        account.client.select()
        account.client.store("3:4", "+FLAGS", "(\\Deleted)")
        account.client.expunge()
        account.append("INBOX", "y")
    fewer = [replaced(rb"UIDNEXT 6", b"UIDNEXT 4"), replaced(rb"UID 5([ )])", rb"UID 3\1")]
    asked = replaced(rb"^(B\d+ UID FETCH )3 ", rb"\g<1>5 ")
    with relayed(box.old.port, answers=lambda line: fewer[1](fewer[0](line)), commands=asked) as box.old_port:
        assert box.sync().problems == 0
    assert box.read_new() == parse("INBOX: a b y")


def test_passes_that_change_nothing_stay_cheap(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.fill("INBOX: a b c; Sent: d")
    box.sync()
    monkeypatch.setattr(sync.FolderSync, "run", None)  # no folder is looked at
    box.settled()


# -- the ledger


def test_a_full_disk_of_the_ledger_is_told_spelled_and_nothing_is_lost_or_doubled(box: Box) -> None:
    box.fill("; ".join(f"F{i}: a b c/S" for i in range(12)))

    def full(connection: sqlalchemy.Connection, _: object, statement: str, *more: object) -> None:
        if statement.startswith("INSERT INTO uid_run"):
            connection.exec_driver_sql("PRAGMA max_page_count=1")  # no more than there are now
            connection.exec_driver_sql("INSERT INTO folder_flags VALUES (1, zeroblob(1000000))")

    sqlalchemy.event.listen(box.ledger.engine, "before_cursor_execute", full)
    with pytest.raises(LedgerAway, match=r"the ledger .* can't be written: database or disk is full"):
        box.sync()
    sqlalchemy.event.remove(box.ledger.engine, "before_cursor_execute", full)
    box.ledger.engine.dispose()
    assert box.sync().problems == 0
    assert sum(found.total() for found in box.read_new().values()) == 36
    box.settled()


def test_a_mailbox_of_many_folders_costs_the_ledger_one_transaction_each_and_nothing_when_unchanged(box: Box) -> None:
    """A transaction waits for the disk: 2,000 folders were minutes of that."""
    with box.on_old() as account:
        for i in range(40):
            account.client.create(f"A{i % 4}.F{i}")
    begun = [0]
    count = lambda connection: begun.__setitem__(0, begun[0] + 1)  # noqa: E731
    sqlalchemy.event.listen(box.ledger.engine, "begin", count)
    sqlalchemy.event.listen(box.ledger._writer, "begin", count)
    assert box.sync().folders == 41
    first, begun[0] = begun[0], 0
    assert box.sync().folders == 41
    assert first <= 2 * (3 * 41 + 20) and begun[0] <= 2 * 20


# -- lists of folders that lack some


UNLISTED = {
    "one": (rb'\* (LIST|LSUB|STATUS) [^\r]*"?Work"?[^\r]*\r\n', ["Work"]),
    "all": (rb"\* (LIST|LSUB|STATUS) [^\r]*\r\n", ["INBOX", "Rest", "Work"]),
}


@pytest.mark.parametrize("kind", UNLISTED)
def test_a_folder_that_old_does_not_list_any_more_and_has_is_not_removed(box: Box, kind: str) -> None:
    state, (lines, names) = "INBOX: a b; Work: c/S d; Rest: e", UNLISTED[kind]
    box.fill(state)
    box.sync()
    with relayed(box.old.port, answers=replaced(lines, b"")) as box.old_port:
        result = box.sync()
        assert (result.removed, result.problems) == (0, len(names))
        assert sorted(problem.subject for problem in box.problems()) == names
        assert len(questions.of_mailbox(box.problems())) == 1
        assert box.read_new() == parse(state)
    box.old_port = 0
    assert box.sync().problems == 0
    box.settled()
    with box.on_old() as account:
        account.client.delete(account.wire_name("Work"))
    assert box.sync().removed == 2
    assert box.read_new() == parse("INBOX: a b; Rest: e")


@pytest.mark.parametrize("command", [b"UID STORE", b"UID EXPUNGE"])
def test_a_removed_folder_that_new_does_not_let_go_of_holds_back_itself_only(box: Box, command: bytes) -> None:
    box.fill("INBOX: a b; Work: c d; Rest: e")
    box.sync()
    with box.on_old() as account:
        account.client.delete(account.wire_name("Rest"))
        account.client.delete(account.wire_name("Work"))
        account.append("INBOX", "k")
    refusing = answered(command, b"NO [NOPERM] not yours")
    with relayed(box.new.port, **refusing) as box.new_port:
        result = box.sync()
        assert (result.copied, result.problems) == (1, 2)
        assert [(each.kind, each.server_words) for each in box.problems()] == [
            ("folder-closed-on-new", "[NOPERM] not yours")
        ] * 2
    box.new_port = 0
    assert box.sync().problems == 0
    assert box.read_new() == parse("INBOX: a b k")
    box.settled()
