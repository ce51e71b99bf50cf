"""Whose folders are carried, and under which names: odd LIST answers, namespaces, INBOX, folders below renamed ones."""

import contextlib
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from bascule.ledger import journal, mailboxes, shared_folders
from bascule.mailbox.forecast import forecast
from bascule.problems import questions, store
from bascule.problems.evidence import SHARED, evidence_lines
from bascule.sieve import mailbox_folders
from bascule.site.accounts import FoldersPart
from bascule.text.name_map import Namespace

from tests.deciding import decide
from tests.imap_places import Box, Place, Places
from tests.imap_relay import Rewrite, one_after_another, relayed, replaced
from tests.integration.test_mailbox_later_passes import special
from tests.mail_servers import dovecot, mail_directory
from tests.mailbox_states import parse, text

PLAIN = frozenset({"LIST-STATUS", "LIST-EXTENDED"})


def line_before(pattern: bytes, more: bytes) -> Rewrite:
    """More lines before the first that matches, once for each command's answer."""
    return lambda line: more + line if re.match(pattern, line) else line


# -- I1: names that are none


@pytest.mark.parametrize("without", [frozenset(), PLAIN], ids=["LIST-STATUS", "LIST, LSUB and STATUS"])
def test_a_folder_called_nil_is_carried(box: Box, without: frozenset[str]) -> None:
    box.fill("NIL: a b; Sent: c")
    with box.on_old() as account:
        account.client.subscribe(account.wire_name("NIL"))
    box.without = (without, frozenset())
    with relayed(box.old.port, answers=replaced(rb'"?NIL"?(?= \(MESSAGES|\r\n)', b"NIL")) as box.old_port:
        assert box.sync().problems == 0
        assert box.read_new() == parse("NIL: a b; Sent: c")
        box.settled()


NAMELESS = {
    "empty": b'* LIST (\\HasNoChildren) "." ""\r\n',
    "a list": b'* LIST (\\HasNoChildren) "." (a b)\r\n',
    "attributes and separator NIL, name empty": b'* LIST NIL NIL ""\r\n',
}


@pytest.mark.parametrize("kind", NAMELESS)
@pytest.mark.parametrize("without", [frozenset(), PLAIN], ids=["LIST-STATUS", "LIST, LSUB and STATUS"])
def test_a_line_without_a_usable_name_is_one_problem(box: Box, kind: str, without: frozenset[str]) -> None:
    box.fill("Sent: c; Plans: d")
    box.without = (without, frozenset())
    lines = line_before(rb"\* LIST .*INBOX", NAMELESS[kind] + b'* LSUB () "." (x)\r\n* STATUS () ()\r\n* LIST\r\n')
    with relayed(box.old.port, answers=lines) as box.old_port:
        assert box.sync().problems == 1
        (problem,) = box.problems()
        assert (problem.kind, problem.subject) == ("folder-unreadable", "(a folder without a name)")
        assert box.read_new() == parse("Sent: c; Plans: d")
        again = box.sync()
        assert (again.copied, again.removed, again.problems) == (0, 0, 1)


ODD_ANSWERS: dict[str, Rewrite] = {
    "STATUS with NIL for numbers": replaced(rb"(MESSAGES|UIDNEXT|HIGHESTMODSEQ) \d+", rb"\1 NIL"),
    "no separator": replaced(rb'(\* LIST \([^)]*\)) "."', rb"\1 NIL"),
    "lines listed twice": replaced(rb"(\* LIST [^\r]*\r\n)", rb"\1\1"),
    "attributes NIL": replaced(rb"\* LIST \([^)]*\)", b"* LIST NIL"),
    "NAMESPACE of NIL": replaced(rb"\* NAMESPACE .*\r\n", b"* NAMESPACE NIL NIL NIL\r\n"),
    "NAMESPACE that is odd": replaced(rb"\* NAMESPACE .*\r\n", b'* NAMESPACE (("" ".") NIL (NIL NIL)) () "x"\r\n'),
    "EXISTS of a word": replaced(rb"\* \d+ EXISTS", b"* many EXISTS"),
    "UIDVALIDITY twice": replaced(rb"(\* OK \[UIDVALIDITY \d+\][^\r]*\r\n)", rb"\1\1"),
}


@pytest.mark.parametrize("kind", ODD_ANSWERS)
@pytest.mark.parametrize("without", [frozenset(), PLAIN], ids=["LIST-STATUS", "LIST, LSUB and STATUS"])
def test_odd_answers_about_folders_hold_nothing_back(box: Box, kind: str, without: frozenset[str]) -> None:
    box.fill("INBOX: a b; Sent: c/S")
    box.without = (without, frozenset())
    with relayed(box.old.port, answers=ODD_ANSWERS[kind]) as box.old_port:
        assert box.sync().problems == 0
        assert box.read_new() == parse("INBOX: a b; Sent: c/S")
        box.settled()


# -- I3: other people's folders


def test_shared_folders_without_a_prefix_are_nobodys_own_and_told_once_for_the_site(places: Places, box: Box) -> None:
    """Cyrus with `altnamespace: no`, and folders at the top that two accounts may read; each line comes twice."""
    box.old = places["cyrus below INBOX"]
    both = [box, replace(box, user=f"{box.user}2")]
    twice = replaced(rb"(\* (?:LIST|LSUB) [^\r]*\r\n)", rb"\1\1")
    for each in both:
        each.fill("Mine: a")
    with shared_by_the_administrator(box) as shared, relayed(box.old.port, answers=twice) as port:
        for each in both:
            each.old_port = port
            assert each.sync().problems == 0
            assert each.read_new() == parse("Mine: a")
            each.settled()
            assert "2 folder(s) on old are shared, in nobody's mailbox" in "\n".join(each.verify().counted)
        (told,) = journal.entries(box.ledger, kind=shared_folders.KIND)
        assert told.after == {"folders": sorted(shared), "seen by": box.user}
        named = [line for line in evidence_lines(box.ledger) if line.startswith(SHARED)]
        assert named == [f"{SHARED}: 2", *(f"{SHARED}: {name}" for name in sorted(shared))]
        with shared_by_the_administrator(box) as later:
            both[1].sync()
            assert shared_folders.noted(box.ledger) == sorted([*shared, *later])
            assert len(journal.entries(box.ledger, kind=shared_folders.KIND)) == 2


@contextlib.contextmanager
def shared_by_the_administrator(box: Box) -> Iterator[tuple[str, ...]]:
    """Two folders at the top of old during the block; everybody on this server sees them."""
    top = f"pub{uuid.uuid4().hex[:8]}"
    names = (top, f"{top}.minutes")
    with box.old.account("cyrus") as account:
        for name in names:
            assert account.client.create(name)[0] == "OK"
            assert account.client.setacl(name, "anyone", "lrswip")[0] == "OK"
            assert account.client.append(name, "", None, b"Subject: shared\r\n\r\nx\r\n")[0] == "OK"
    try:
        yield names
    finally:
        with box.old.account("cyrus") as account:
            for name in reversed(names):
                assert account.client.setacl(name, "cyrus", "lrswipkxtecda")[0] == "OK"
                assert account.client.delete(name)[0] == "OK"


@pytest.mark.parametrize("told", [b'(("" "/")) NIL (("Shared/" "/"))', b'(("" "/")) (("Shared/" "/")) NIL'])
def test_the_root_of_a_foreign_namespace_is_not_made_on_new(places: Places, box: Box, told: bytes) -> None:
    box.old, box.new = places["sdbox"], places["maildir"]
    box.fill("Mine: a; Shared/ann/INBOX: b")
    with relayed(
        box.old.port, answers=replaced(rb"\* NAMESPACE .*\r\n", b"* NAMESPACE " + told + b"\r\n")
    ) as box.old_port:
        assert box.sync().problems == 0
        assert box.read_new() == parse("Mine: a")
        box.settled()


# -- I12: virtual folders

VIRTUAL = """
namespace virtual {
  prefix = virtual/
  separator = /
  location = maildir:~/Virtual:LAYOUT=fs
}
"""


def test_folders_in_another_personal_namespace_are_asked_about_once_and_not_copied(box: Box) -> None:
    with mail_directory() as home, dovecot(home / "old", separator="/", extra=VIRTUAL) as server:
        box.old = type(box.old)(server, "/")
        box.fill("INBOX: a")
        assert box.sync().problems == 0, "nothing lies in it"
        box.fill("INBOX: a; virtual/All: a b; virtual/Unread: a")
        assert box.sync().problems == 1
        (problem,) = box.problems()
        assert (problem.kind, problem.subject) == ("folder-virtual", "virtual/")
        assert box.read_new() == parse("INBOX: a")
        assert box.sync().problems == 1


QUOTA = """
mail_plugins = $mail_plugins quota
plugin {
  quota = count:User quota
  quota_vsizes = yes
  quota_rule = *:bytes=%d
}
protocol imap {
  mail_plugins = $mail_plugins imap_quota
}
"""


def test_virtual_folders_of_all_mailboxes_are_two_questions_of_the_site_and_need_no_space(box: Box) -> None:
    """New has space for each message once."""
    state = "INBOX: a b c; Every: a b c; virtual/All: a b c; virtual/Unread: a"
    space = sum(len(text(name)) for name in "abc") + 100
    with (
        mail_directory() as home,
        dovecot(home / "old", separator="/", extra=VIRTUAL) as old,
        dovecot(home / "new", separator="/", location="sdbox:~/sdbox", extra=QUOTA % space) as new,
        relayed(old.port, answers=special("/", All="Every")) as port,
    ):
        both = [replace(box, old=Place(old, "/"), new=Place(new, "/"), old_port=port, user=user) for user in "uv"]
        for each in both:
            each.fill(state)
            (forecast_of,) = forecast([each.job()], each.ledger)
            assert (forecast_of.folders, forecast_of.new_messages) == (1, 3)
            assert each.sync().problems == 2
            assert each.read_new() == parse("INBOX: a b c")
            assert "3 folder(s) on old are virtual and not compared" in "\n".join(each.verify().counted)
        asked = questions.of_site(store.problems(box.ledger))
        assert [(each.first.kind, each.first.subject, each.accounts) for each in asked] == [
            ("folder-virtual", "\\All", ["u", "v"]), ("folder-virtual", "virtual/", ["u", "v"]),
        ]  # fmt: skip
        for problem in store.problems(box.ledger):
            decide(box.ledger, problem)
        for each in both:
            assert each.sync().problems == 0
            assert each.read_new() == parse("INBOX: a b c")
            each.settled()


@pytest.mark.parametrize("use", ["All", "Flagged", "Important"])
def test_folders_that_show_others_messages_are_asked_about_and_not_copied(box: Box, use: str) -> None:
    box.fill("INBOX: a; Archive: b; Every: a b")
    with relayed(box.old.port, answers=special(".", **{use: "Every"})) as box.old_port:
        assert box.sync().problems == 1
        (problem,) = box.problems()
        assert (problem.kind, problem.subject) == ("folder-virtual", f"\\{use}")
        assert box.read_new() == parse("INBOX: a; Archive: b")


# -- I10: below folders that get another name


def filed_where_it_is_moved(box: Box, name: str) -> None:
    """A folder that comes later gets the name that filters got for it before (`name`: with slashes)."""
    separators = [Namespace(place.prefix.encode(), place.separator.encode()) for place in (box.old, box.new)]
    folders = mailbox_folders.folder_map(box.ledger, box.user, *separators, FoldersPart(rename=box.options.rename))
    on_old = box.old.prefix + name.replace("/", box.old.separator)
    by_filters = folders.new_name(on_old)
    with box.on_old() as account:
        account.client.create(account.wire_name(name))
    assert box.sync().problems == 0
    assert by_filters == mailboxes.folder_map(box.ledger, box.user)[on_old]


def test_what_lies_below_goes_along_with_the_special_use(box: Box) -> None:
    box.fill("Gesendete Elemente: a; Gesendete Elemente/Kunden: b; Gesendete Elemente/Kunden/K: c", "Sent:")
    with box.on_old() as account:
        account.client.subscribe(account.wire_name("Gesendete Elemente/Kunden"))
    with (
        relayed(box.old.port, answers=special(".", Sent="Gesendete Elemente")) as box.old_port,
        relayed(box.new.port, answers=special("/", Sent="Sent")) as box.new_port,
    ):
        assert box.sync().problems == 0
        assert box.read_new() == parse("Sent: a; Sent/Kunden: b; Sent/Kunden/K: c")
        with box.on_new() as account:
            assert b"Sent/Kunden" in (account.client.lsub()[1][0] or b"")
        box.settled()
        filed_where_it_is_moved(box, "Gesendete Elemente/Neu")


@pytest.mark.parametrize("state", ["Corbeille: a; Corbeille/2019: b", "Corbeille/2019: b"])
def test_what_lies_below_goes_along_with_the_site_files_name(places: Places, box: Box, state: str) -> None:
    box.old = places["below INBOX"]
    box.options = replace(box.options, rename={"INBOX.Corbeille": "Trash"})
    box.fill(state)
    assert box.sync().problems == 0
    assert box.read_new() == parse(state.replace("Corbeille", "Trash"))
    box.settled()
    filed_where_it_is_moved(box, "Corbeille/2020")


# -- I11: INBOX in other letters, and with prefixes


def renamed_inbox(name: str) -> Rewrite:
    return replaced(
        rb'(\* (?:LIST \([^)]*\) "/"|LSUB \([^)]*\) "/"|STATUS) "?)INBOX(?="? |"?\r)', rb"\1" + name.encode()
    )


@pytest.mark.parametrize("kind", ["sdbox", "below INBOX"])
def test_what_lies_below_inbox_in_whatever_letters(places: Places, box: Box, kind: str) -> None:
    box.old, box.new = places["sdbox"], places[kind]
    box.fill("INBOX: i; INBOX/Status: s; INBOX/Compta: c; Akten: k")
    answers = one_after_another(renamed_inbox("Inbox"), replaced(rb"INBOX/Status", b"Inbox/Status"))
    with relayed(box.old.port, answers=answers, commands=replaced(rb"Inbox/Status", b"INBOX/Status")) as box.old_port:
        assert box.sync().problems == 0
        expected = "INBOX: i; INBOX/Status: s; INBOX/Compta: c; Akten: k"
        assert box.read_new() == parse(expected if kind == "sdbox" else expected.replace("INBOX/", ""))
        box.settled()


def test_two_that_would_become_one_are_asked_about(places: Places, box: Box) -> None:
    box.old, box.new = places["sdbox"], places["below INBOX"]
    box.fill("INBOX: i; INBOX/Compta: c; Compta: d")
    assert box.sync().problems == 1
    (problem,) = box.problems()
    assert (problem.kind, problem.subject) == ("folder-name-alike", "INBOX/Compta")
    assert box.read_new() == parse("INBOX: i; Compta: d")


@pytest.mark.parametrize("name", ["INBOX", "inbox"])
def test_a_folder_that_would_become_the_inbox_is_asked_about(places: Places, box: Box, name: str) -> None:
    box.old = places["cyrus below INBOX" if name == "INBOX" else "below INBOX"]
    with box.on_old() as account:
        if account.client.create(f"INBOX.{name}")[0] != "OK":
            pytest.skip("this server has no such folder")
        account.append("INBOX", "i")
        account.client.append(f"INBOX.{name}", "", None, b"Subject: other\r\n\r\nx\r\n")
    assert box.sync().problems == 1
    (problem,) = box.problems()
    assert problem.subject == f"INBOX.{name}" and problem.proposal.name not in (None, "INBOX", "inbox")
    assert box.read_new() == parse("INBOX: i")


def test_uses_are_told_apart(box: Box) -> None:
    """A helper of these tests does what it says."""
    rewrite: Callable[[bytes], bytes] = special(".", Sent="Sent Items")
    assert Counter(rewrite(b'* LIST (\\HasNoChildren) "." "Sent Items"\r\n').split())[b"\\Sent)"] == 1
