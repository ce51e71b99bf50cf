"""The final report: one file with everything in it, in each language of the site, and its data."""

import json
import re
from pathlib import Path

from bascule.ledger import Ledger, journal, mailboxes
from bascule.problems import rules, store
from bascule.site import Site
from bascule.views import report

from lab.measure.made_day import HOSTILE
from tests.unit.dashboard.conftest import made
from tests.unit.dashboard.reading import Read


def test_it_names_every_mailbox_decision_and_loss(done: Ledger, site: Site) -> None:
    found = report.gather(done, site)
    text = Read(report.as_html(found)).text
    losses = [problem for problem, decision in store.all_decisions(done) if rules.leaves_out(decision)]

    assert losses
    assert [name for name in mailboxes.mailbox_states(done) if name not in text] == []
    assert [each.account for each in losses if each.account not in text] == []
    assert journal.head(done).hash in text
    assert "The outage" in text or "outage" in text


def test_it_accounts_for_every_message_and_for_everybody(tmp_path: Path, site: Site) -> None:
    ledger = made(tmp_path, "done", 12)
    known = {"counts": {"accepted": 12345, "delivered": 12344}, "unaccounted": ["4XYZ (<lost@obs.test>)"],
             "gaps": ["12:00 to 12:01"]}  # fmt: skip
    journal.append(ledger, journal.Entry("note", "mail", "accounted for", journal.Origin("drain", "r"), after=known))
    found = report.gather(ledger, site)
    text, data = Read(report.as_html(found)).text, json.loads(report.as_json(found))

    for told in ("12,345 (12,344 delivered)", "neither delivered nor queued: 4XYZ (<lost@obs.test>)", "12:00 to 12:01"):
        assert told in text and [line for line in data["mail"] if told in line]
    assert {who for who, _ in found.people} >= {"postmaster", "schedule"}
    assert [who for who, _ in found.people if who not in text.partition("Qui a fait quoi")[2]] == []
    assert [test.name for test in found.tests if test.name not in text] == []


def test_it_speaks_each_language_of_the_site(done: Ledger, site: Site) -> None:
    html = report.as_html(report.gather(done, site.model_copy(update={"languages": ["fr", "en"]})))

    assert '<main class="in in-fr" lang="fr">' in html and '<main class="in in-en" lang="en">' in html
    assert "rapport final" in html and "final report" in html
    assert 'id="in-fr" checked' in html
    assert html.count("est en anglais") == 1


def test_it_needs_nothing_else_and_runs_nothing(done: Ledger, site: Site) -> None:
    html = report.as_html(report.gather(done, site))

    assert "<script" not in html and "<link" not in html
    assert not re.search(r'(src|href)="(?!data:|#)', html)
    assert "http://" not in html and "https://" not in html
    assert 'src="data:image/png;base64,' in html
    assert HOSTILE[:20] not in html and "&lt;img src=x" in html


def test_its_data_is_json_with_the_whole_journal(done: Ledger, site: Site) -> None:
    data = json.loads(report.as_json(report.gather(done, site)))

    assert data["journal"]["head"] == journal.head(done).hash
    assert len(data["journal"]["entries"]) == journal.head(done).number
    assert len(data["mailboxes"]) == 60
    assert data["outage"]["ended"].endswith("Z")
    assert {phase["phase"] for phase in data["phases"]} == {"freeze", "transfer", "cutover", "drain"}
