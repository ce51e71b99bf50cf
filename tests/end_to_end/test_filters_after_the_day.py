"""Mail that comes after the day is filed by the converted filters, of every kind, as on the old server."""

import time
import uuid
from dataclasses import dataclass, field

import pytest
from bascule.ledger import mailboxes
from bascule.problems import store
from bascule.sieve.script_problem import NEVER_MATCHES, NEVER_RAN

from lab.corpus.filters import RENAMED_FOLDER, RENAMED_SUBJECT
from lab.corpus.people import people
from lab.testing import DAY_ACCOUNTS, SEED
from tests.end_to_end.conftest import Day
from tests.end_to_end.outside import ABSENT, ASKS_BEFORE, WITHIN, answers, arrived, send

LIST = {"List-Id": "<annonces.obs.test>"}
RENAMED_ACCOUNT = next(person.account for person in people(DAY_ACCOUNTS, SEED) if person.trouble == "folders")


@dataclass(frozen=True)
class Case:
    """A message and the folder, by its name on old, into which the account's filter puts it."""

    kind: str
    account: str
    subject: str
    folder: str
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.kind


CASES = [
    Case("folder renamed by decision", RENAMED_ACCOUNT, f"{RENAMED_SUBJECT} exercice suivant", RENAMED_FOLDER),
    Case("extra colon repaired by decision", "zkovacs", "Congrès d'été", "INBOX.À lire"),
    Case("the other rule of that filter", "zkovacs", "[Réunion] lundi", "INBOX.Réunions"),
    Case("colon in a header's name repaired by decision", "fstjean", "votre facture", "INBOX.Reçus & factures"),
    Case("rule of an editor", "direction", "[Réunion] mardi", "INBOX.Réunions"),
    Case("rule that is switched off", "direction", "astro", "INBOX", {"List-Id": "<astro-fr.obs.test>"}),
    Case("no rule fits", "direction", "autre chose", "INBOX"),
    Case("written by hand", "egarcon", "[Réunion] mercredi", "INBOX.Réunions"),
    Case("imapflags", "nlefevre", "[Réunion] jeudi", "INBOX.Réunions"),
    Case("rule behind a vacation", ABSENT, "[Réunion] vendredi", "INBOX.Réunions", {"List-Id": "<x.outside.test>"}),
    Case("script for everybody", "accueil", "nouvelles", "INBOX.À lire", LIST),
    Case("script of one's own, included", "accueil", "[Personnel] note", "INBOX.À lire"),
    Case("folder from a variable", "accueil", "[Stage] candidature", "INBOX.À lire"),
]


@pytest.fixture(scope="module")
def sent(day: Day) -> dict[str, str]:
    """Each kind's message, all sent at once: kind -> Message-Id."""
    assert day.seen["drain"].state == "success"
    return {case.kind: send(case.account, case.subject, "comptable@outside.test", case.headers) for case in CASES}


def found(day: Day, account: str, identifier: str) -> list[tuple[str, tuple[bytes, ...]]]:
    """The folders on new in which a message has arrived, with its flags there; waits until it is somewhere."""
    return arrived(day.instance, "new", account, identifier)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_filter_files_as_on_the_old_server(day: Day, sent: dict[str, str], case: Case) -> None:
    carried = {"INBOX": "INBOX"} | mailboxes.folder_map(day.ledger, case.account)
    (place,) = found(day, case.account, sent[case.kind])
    assert place[0] == carried[case.folder]


def test_the_renamed_folder_has_the_name_of_the_decision(day: Day) -> None:
    assert "/" not in mailboxes.folder_map(day.ledger, RENAMED_ACCOUNT)[RENAMED_FOLDER]


def test_the_colons_were_repaired_by_decision(day: Day) -> None:
    decided = {(problem.account, problem.kind) for problem, _ in store.all_decisions(day.ledger)}
    assert {("zkovacs", NEVER_RAN), ("fstjean", NEVER_MATCHES)} <= decided


def test_a_flag_of_the_old_extension_is_set(day: Day, sent: dict[str, str]) -> None:
    ((_, flags),) = found(day, "nlefevre", sent["imapflags"])
    assert b"\\Flagged" in flags


def test_a_copy_to_an_address_of_the_old_host_goes_to_the_new_domain(day: Day, sent: dict[str, str]) -> None:
    identifier = send("accueil", "[Double] à signer", "comptable@outside.test")
    assert [name for name, _ in found(day, "accueil", identifier)] == ["INBOX"]
    assert [name for name, _ in found(day, "direction", identifier)] == ["INBOX"]


def test_who_had_an_answer_from_old_gets_none_from_new(day: Day, sent: dict[str, str]) -> None:
    assert answers(day.instance, "old", ASKS_BEFORE) == 1
    stranger = f"{uuid.uuid4()}@outside.test"
    for sender in (ASKS_BEFORE, stranger):
        assert found(day, ABSENT, send(ABSENT, "et maintenant ?", sender))
    deadline = time.monotonic() + WITHIN
    while not answers(day.instance, "new", stranger) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert (answers(day.instance, "new", stranger), answers(day.instance, "new", ASKS_BEFORE)) == (1, 0)
