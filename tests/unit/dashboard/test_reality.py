"""Forecast and reality side by side: of a day as its tasks write it, and its parts make up the whole."""

import html
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest
from bascule.ledger import Ledger, journal, mailboxes, phases, task_log
from bascule.ledger.task_log import Try
from bascule.site import Site
from bascule.views import report
from bascule.views.day import Day, day
from bascule.views.forecast import BESIDE_ACTS, beside_acts
from bascule.views.progress import mailboxes as found
from bascule.views.reality import ANSWER, compare

from lab.measure.made_day import HOSTILE, Moment
from tests.unit.dashboard.conftest import client_of, made
from tests.unit.dashboard.reading import Read

SIX = datetime(2026, 6, 27, 4)
FORECAST = {
    "seconds": 107, "least": 64, "most": 193, "acts": 52, "look": 15, "mailboxes": 40, "filters": 20, "calendars": 50,
    "with a task": 2, "slots": 4, "questions": 1, "slowest": {"anna": 3.5, HOSTILE: 30.0, "bert": 12.0},
}  # fmt: skip


class Told:
    """A day as its tasks write it, in seconds since six o'clock."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.seconds = ledger, 0.0

    def now(self) -> datetime:
        return SIX + timedelta(seconds=self.seconds)

    def at(self, seconds: float) -> "Told":
        self.seconds = seconds
        return self

    def mark(self, phase: str, state: phases.Mark) -> None:
        phases.mark(self.ledger, phase, state, journal.Origin(phase, "day", "begin", "lead"))

    def forecast(self, **others: int) -> None:
        origin = journal.Origin("freeze", "day", "forecast", "lead")
        journal.append(self.ledger, journal.Entry("note", "forecast", "window", origin, after=FORECAST | others))

    def task(
        self, name: str, began: float, ended: float, attempt: int = 1, state: task_log.TaskState = "done",
        phase: str = "transfer",
    ) -> None:  # fmt: skip
        this = Try(journal.Origin(phase, "day", name, "lead"), attempt)
        self.at(began)
        task_log.note(self.ledger, this, "running")
        self.at(ended)
        task_log.note(self.ledger, this, state)

    def of_a_mailbox(self, seconds: float, state: task_log.TaskState, attempt: int = 1) -> None:
        """The task of anna's mailbox has come so far."""
        this = Try(journal.Origin("transfer", "day", "mailbox.sync[0]", "lead"), attempt, "anna", of_many=True)
        self.at(seconds)
        task_log.note(self.ledger, this, state)

    def act(self, phase: str, kind: str, parameters: dict[str, str], event: journal.Event) -> None:
        journal.append(self.ledger, journal.Entry(event, kind, kind, journal.Origin(phase, "day", kind), parameters))

    def begin(self) -> None:
        self.at(0).mark("freeze", "started")
        self.forecast()
        self.at(10).act("freeze", "virtual_machine", {"state": "shut off"}, "intent")
        self.at(30).mark("transfer", "started")
        self.task("list_accounts", 31, 33)

    def end(self, seconds: float) -> None:
        self.at(seconds - 5).mark("cutover", "started")
        self.at(seconds).act("cutover", "address", {"service": "imap"}, "done")

    def passed(self, account: str, seconds: float) -> None:
        with self.ledger.session() as session:
            mailboxes.set_mailbox(session, account, "verified", last_pass_at=SIX + timedelta(seconds=seconds), passes=2)

    def looked_at(self, accounts: set[str], seconds: float) -> None:
        for account in accounts:
            self.passed(account, -1000)
        self.at(seconds)
        with self.ledger.session() as session:
            mailboxes.note_looks(session, accounts, {})

    def day(self) -> Day:
        return day(self.ledger, found(self.ledger), at=self.now())

    def real(self) -> dict[str, float | None]:
        return {row.part: row.real for row in compare(self.day())}


@pytest.fixture
def told(ledger: Ledger) -> Iterator[Told]:
    made = Told(ledger)
    modules = (journal, task_log, mailboxes)
    patches = [mock.patch.object(module, "now", made.now) for module in modules]
    for each in patches:
        each.start()
    yield made
    for each in patches:
        each.stop()


def whole_of(real: dict[str, float | None]) -> float:
    """The parts, added up as the forecast adds its own."""
    people = real.get(ANSWER) or 0.0
    return (real["acts"] or 0.0) + people + beside_acts(**{part: real[part] or 0.0 for part in BESIDE_ACTS})


def test_each_part_has_what_it_became_and_the_parts_make_up_the_whole(told: Told) -> None:
    told.begin()
    told.looked_at({"anna", "bert", "carl"}, 84)
    told.task("look_at_mailboxes", 34, 85)
    told.task("convert_filters", 86, 107)
    told.task("migrate_calendars", 34, 90)
    told.passed("bert", 145)
    told.end(200)

    real = told.real()
    assert real == {
        "acts": 190 - (51 + 60), "look": 51, "mailboxes": 60, "filters": 21, "calendars": 56, "outage": 190,
    }  # fmt: skip
    assert whole_of(real) == real["outage"]
    assert {row.part: row.forecast for row in compare(told.day())} == {
        **{part: FORECAST[part] for part in ("acts", *BESIDE_ACTS)}, "outage": 107,
    }  # fmt: skip


def test_calendars_that_take_longest_are_what_the_acts_come_on_top_of(told: Told) -> None:
    told.begin()
    told.looked_at({"anna"}, 40)
    told.task("look_at_mailboxes", 34, 41)
    told.task("convert_filters", 42, 50)
    told.task("migrate_calendars", 34, 150)
    told.end(180)

    real = told.real()
    assert (real["mailboxes"], real["calendars"], real["acts"]) == (0, 116, 170 - 116), "a look was enough for all"
    assert whole_of(real) == real["outage"] == 170


def test_a_look_that_is_run_again_and_passes_after_the_outage_count_no_more(told: Told) -> None:
    told.begin()
    told.task("look_at_mailboxes", 34, 36, state="again")
    told.looked_at({"anna", "bert"}, 59)
    told.task("look_at_mailboxes", 50, 60, attempt=2)
    told.passed("anna", 80)
    told.task("look_at_mailboxes", 100, 110, attempt=3)
    told.end(150)
    told.passed("bert", 9000)
    told.at(9001)

    real = told.real()
    assert (real["look"], real["mailboxes"], real["filters"], real["outage"]) == (26, 90, None, 140)
    assert whole_of(real) == 140


def test_what_the_gate_waited_for_its_answer_is_none_of_the_acts(told: Told) -> None:
    told.begin()
    told.looked_at({"anna"}, 40)
    told.task("look_at_mailboxes", 34, 41)
    told.at(50).mark("cutover", "started")
    told.task("go_no_go", 52, 90, state="failed", phase="cutover")
    told.task("go_no_go", 95, 112, attempt=2, phase="cutover")
    told.at(130).act("cutover", "address", {"service": "imap"}, "done")

    real = told.real()
    assert (real[ANSWER], real["acts"]) == (60, 120 - 7 - 60)
    assert whole_of(real) == real["outage"] == 120
    assert [row.forecast for row in compare(told.day()) if row.part == ANSWER] == [None]


def test_while_the_outage_goes_on_what_is_not_yet_known_is_not_told(told: Told) -> None:
    told.begin()
    assert told.real() == dict.fromkeys(("acts", *BESIDE_ACTS)) | {"outage": 23}
    told.looked_at({"anna"}, 40)
    told.task("look_at_mailboxes", 34, 41)
    assert (told.real()["look"], told.real()["acts"], told.at(100).real()["outage"]) == (7, None, 90)


def test_a_made_day_adds_up(done: Ledger) -> None:
    real = {row.part: row.real for row in compare(day(done, found(done)))}
    assert None not in real.values()
    assert whole_of(real) == pytest.approx(real["outage"])


def test_before_the_outage_today_has_the_forecast_alone(told: Told, site: Site) -> None:
    told.at(0).mark("freeze", "started")
    told.forecast()
    page = client_of(told.ledger, site).get("./").text
    text = Read(page).text
    assert "Forecast and reality" not in text and "Reality" not in text
    assert "1 min 47 s, at least 1 min 4 s and at most 3 min 13 s, and as long as people take to answer" in text
    assert "2 mailboxes need a task, 4 at once. 1 account had questions." in text


@pytest.mark.parametrize("moment", ["prepared", "transfer"])
def test_today_shows_the_forecast_from_prepare_on(tmp_path: Path, site: Site, moment: Moment) -> None:
    text = Read(client_of(made(tmp_path, moment, 12), site).get("./").text).text
    assert ("Forecast and reality" in text) == (moment == "transfer")
    assert "1 h 31 min, at least 54 min 48 s and at most 2 h 44 min" in text
    assert "The slowest mailboxes by the forecast:" in text


def test_the_slowest_are_told_by_name_and_do_no_harm(told: Told, site: Site) -> None:
    told.begin()
    for page in (client_of(told.ledger, site).get("./").text, report.as_html(report.gather(told.ledger, site))):
        assert HOSTILE[:20] not in page and "\u202e" not in page
        slowest = [part for part in page.split("<p>") if "<bdi>anna</bdi> 3.5" in part]
        assert slowest, "in English"
        names = [slowest[0].index(name) for name in (html.escape(HOSTILE[:20]), "<bdi>bert</bdi>", "<bdi>anna</bdi>")]
        assert names == sorted(names)


def test_the_forecast_speaks_french(told: Told, site: Site) -> None:
    told.begin()
    text = Read(client_of(told.ledger, site, language="fr").get("./").text).text
    assert "Prévision et réalité" in text and "plus le temps que les personnes mettent à répondre" in text
    assert "Les boîtes les plus lentes selon la prévision :" in text and "bert 12 s" in text


def test_a_forecast_of_an_older_bascule_is_shown_with_what_it_has(told: Told, site: Site) -> None:
    origin = journal.Origin("prepare", "day", "forecast", "lead")
    after = {"seconds": 80, "acts": 50, "mailboxes": 30, "filters": 0, "calendars": 0}
    journal.append(told.ledger, journal.Entry("note", "forecast", "window", origin, after=after))
    text = Read(client_of(told.ledger, site).get("./").text).text
    assert "1 min 20 s, and as long as people take to answer" in text and "slowest" not in text


def test_a_clock_that_is_set_back_makes_nothing_shorter_than_nothing(told: Told) -> None:
    told.at(900).mark("freeze", "started")
    told.forecast()
    told.at(30).act("freeze", "virtual_machine", {"state": "shut off"}, "intent")
    assert told.at(20).real()["outage"] == 0
    told.end(15)
    assert (told.real()["outage"], told.real()["acts"]) == (0, 0)


def test_an_outage_is_judged_by_the_last_forecast_before_it(told: Told) -> None:
    def forecast() -> list[float | None]:
        return [row.forecast for row in compare(told.day()) if row.part in ("mailboxes", "outage")]

    told.at(-5000).forecast(seconds=90, mailboxes=9)
    told.begin()
    told.forecast(seconds=5, mailboxes=1)
    assert forecast() == [40, 107]
    told.at(80).mark("rollback", "started")
    told.at(90).mark("rollback", "finished")
    told.forecast(seconds=6, mailboxes=2)
    assert forecast() == [40, 107]
    told.at(5000).mark("freeze", "started")
    assert forecast() == [2, 6], "the next try has another one"


def test_an_outage_without_a_forecast_before_it_has_the_later_one(told: Told) -> None:
    told.at(0).mark("freeze", "started")
    told.at(10).act("freeze", "virtual_machine", {"state": "shut off"}, "intent")
    told.forecast()
    assert compare(told.day())[-1].forecast == 107


def looked_at(told: Told) -> None:
    told.begin()
    told.looked_at({"anna", "bert"}, 59)
    told.task("look_at_mailboxes", 34, 60)


def test_a_pass_after_the_transfer_stretches_no_mailboxes_to_the_end_of_the_outage(told: Told) -> None:
    looked_at(told)
    told.passed("bert", 100)
    told.at(120).mark("transfer", "finished")
    told.passed("bert", 2100)
    told.end(3000)
    assert told.real()["mailboxes"] == 60, "until the end of the transfer at most"


def test_a_mailbox_that_failed_hides_what_all_of_them_took_no_more_once_the_transfer_is_done(told: Told) -> None:
    looked_at(told)
    told.of_a_mailbox(65, "failed")
    told.passed("bert", 100)
    assert told.real()["mailboxes"] is None, "a person goes on with it"
    told.at(120).mark("transfer", "finished")
    told.end(150)
    with told.ledger.session() as session:
        mailboxes.set_mailbox(session, "anna", "failed")
    real = told.real()
    assert (real["mailboxes"], real["acts"]) == (40, 140 - (26 + 40))
    assert [(each.about, each.state) for each in told.day().attention] == [("anna", "failed")], "it is told"


def test_a_mailbox_that_was_left_for_a_later_run_hides_nothing_either(told: Told) -> None:
    looked_at(told)
    told.of_a_mailbox(65, "again")
    told.of_a_mailbox(70, "skipped", attempt=2)
    told.passed("bert", 100)
    told.end(150)
    assert told.real()["mailboxes"] == 40
