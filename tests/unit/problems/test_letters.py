"""The letter to an owner: what is told, in which languages, under which Message-Id; the helpdesk's list."""

import email
import email.policy
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from bascule import site
from bascule.ledger import Ledger
from bascule.problems import kinds, letters, page, record, store
from bascule.problems.model import Option, Problem
from bascule.problems.record import Choice

from tests.unit.problems.conftest import AUTHOR

Report = Callable[..., Problem]
SITE = site.load(Path(__file__).parents[3] / "lab" / "site.yaml")


def settled(ledger: Ledger, problem: Problem, option: Option = Option.APPLY) -> None:
    record.record(ledger, [Choice(problem, option)], AUTHOR)
    with ledger.session() as session:
        store.settle(session, problem.id)


def message(report: Report, action: str) -> Problem:
    facts = {"subject": "Budget", "from": "eve@obs.test", "sent": "1 May 2019", "folder": "INBOX"}
    return report(f"INBOX/{action}", kind="message-refused", facts=facts, proposal={"action": action})


def test_a_letter_tells_renamed_repaired_and_left_out_in_the_sites_languages(ledger: Ledger, report: Report) -> None:
    for problem in (report("~notes"), message(report, "repair"), message(report, "leave out")):
        settled(ledger, problem)
    made = email.message_from_bytes(letters.letter(SITE, "anna", letters.outcomes(ledger)), policy=email.policy.default)
    body = made.get_content()
    assert "« ~notes » s'appelle maintenant « x »" in body and '"~notes" is now called "x"' in body
    assert body.count("Budget | eve@obs.test") == 4
    assert "Non repris" in body and "Not carried over" in body
    assert made["From"] == SITE.postmaster


def test_the_reason_is_told_in_the_language_of_each_part_and_not_in_the_servers_words(
    ledger: Ledger, report: Report
) -> None:
    settled(ledger, message(report, "leave out"))
    made = email.message_from_bytes(letters.letter(SITE, "anna", letters.outcomes(ledger)), policy=email.policy.default)
    french, english = made.get_content().split("----")
    assert "(raison : le nouveau serveur n'accepte pas ce message)" in french
    assert "(reason: the new server does not take this message)" in english
    assert "NO [CANNOT]" not in made.get_content()
    assert "NO [CANNOT] Bad name" in letters.helpdesk_text(SITE, letters.outcomes(ledger), {"anna"})


def test_every_kind_that_an_owner_may_be_told_of_has_its_reason_in_every_language() -> None:
    languages = {*get_args(get_args(site.Site.model_fields["languages"].annotation)[0])}
    untold = {key for key, kind in kinds.kinds().items() if kind.owner.keys() != languages}
    assert untold == {"mailbox/quota"}


def test_what_is_not_settled_is_not_told(ledger: Ledger, report: Report) -> None:
    record.record(ledger, [Choice(report(), Option.APPLY)], AUTHOR)
    assert letters.outcomes(ledger) == []


@pytest.mark.parametrize(
    ("kind", "sort"), [("sieve/filter rule never matches", "otherwise"), ("sieve/filter not compiling", "left_out")]
)
def test_what_stays_on_new_as_it_is_when_it_is_left_out_is_not_called_lost(
    ledger: Ledger, report: Report, kind: str, sort: str
) -> None:
    room, _, name = kind.partition("/")
    found = report("main", room=room, kind=name, proposal={"action": "repair", "text": "keep;"})
    settled(ledger, found, Option.LEAVE_OUT)
    assert [each.sort for each in letters.outcomes(ledger)] == [sort]
    stays = "Left out, it stays on the new server as it is there." in page.text(ledger, "anna", [found], None, 0)
    assert stays is (sort == "otherwise")


def test_a_quota_that_was_raised_is_not_told(ledger: Ledger, report: Report) -> None:
    settled(ledger, report("quota", kind="quota", proposal={"action": "raise the quota", "bytes": 1}))
    assert letters.outcomes(ledger) == []


def test_a_letter_is_known_by_site_and_account() -> None:
    assert letters.message_id(SITE, "anna") == letters.message_id(SITE, "anna")
    assert letters.message_id(SITE, "anna") != letters.message_id(SITE, "bert")


def test_the_helpdesk_sees_who_was_not_told(ledger: Ledger, report: Report) -> None:
    settled(ledger, report(account="anna"))
    record.record(ledger, [Choice(report(account="bert"), Option.KEEP_ON_OLD)], AUTHOR)
    text = letters.helpdesk_text(SITE, letters.outcomes(ledger), {"anna"})
    assert "anna: renamed: ~x -> x" in text
    assert "bert: kept on old: bert" in text and "no letter" in text.partition("bert")[2]
    rows = letters.helpdesk_csv(letters.outcomes(ledger), {"anna"}).splitlines()
    assert rows[1].startswith("anna,renamed,") and rows[1].endswith(",yes") and rows[2].endswith(",no")
