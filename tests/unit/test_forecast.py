"""The forecast of the window: how its parts make up the whole, and who is named as the slowest."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from bascule import site
from bascule.hosts.login import Endpoint, Login, NoPassword
from bascule.ledger import Ledger, journal, mailboxes, moves, phases, task_log
from bascule.ledger import passes as ledger_passes
from bascule.ledger.task_log import Try
from bascule.mailbox import Server
from bascule.mailbox import forecast as of_mailboxes
from bascule.mailbox.forecast import Forecast, count_gaps
from bascule.mailbox.job import MailboxJob
from bascule.problems import store
from bascule.problems.model import Problem
from bascule.tasks import forecast, look
from bascule.tasks.forecast import Load, mailbox_seconds, window
from bascule.tasks.run import Run
from structlog.testing import capture_logs


def load(mailboxes: Mapping[str, float], slots: int = 4, filters: float = 0, calendars: float = 0) -> Load:
    return Load(mailboxes, slots, filters, calendars)


@pytest.mark.parametrize(
    ("uids", "expected", "uidnext", "gaps"),
    [
        ([1, 2, 3], 0, 4, 0),
        ([5, 6], 0, 7, 0),  # a first copy begins where old does, by the command that gives UIDVALIDITY
        ([5, 6], 5, 7, 0),
        ([5, 6], 3, 7, 1),
        ([9, 5, 6], 5, 10, 1),  # in no order
        ([5, 7, 9], 5, 20, 3),
        ([], 5, 5, 0),
        ([], 5, 9, 1),
        ([], 0, 9, 0),
    ],
)
def test_gaps_are_counted(uids: list[int], expected: int, uidnext: int, gaps: int) -> None:
    assert count_gaps(uids, expected, uidnext) == gaps


def test_mailboxes_share_the_slots() -> None:
    many = {str(number): 2.0 for number in range(100)}
    assert window(load(many)).mailboxes == 50.0
    assert window(load(many, slots=10)).mailboxes == 20.0


def test_no_slots_make_the_slowest_mailbox_faster() -> None:
    assert window(load({"large": 300.0, "small": 1.0})).mailboxes == 300.0


def test_filters_and_calendars_run_beside_the_mailboxes() -> None:
    small, large = load({"anna": 10.0}, filters=10), load({"anna": 10.0}, filters=10, calendars=100)
    assert window(small).seconds == window(load({"anna": 10.0})).seconds
    assert window(large).seconds - window(large).acts == window(large).calendars > 10.0


def test_a_site_without_anybody_has_its_acts() -> None:
    assert window(load({})).seconds == window(load({})).acts > 0


def test_what_has_changed_costs_by_messages_and_by_size() -> None:
    def seconds(messages: int, octets: int, gaps: int = 0) -> float:
        return mailbox_seconds(Forecast("anna", False, 5, 1, messages, octets, gaps=gaps), of_a_pass=0.3)

    assert 0.3 < seconds(0, 0) < seconds(1000, 0) < seconds(1000, 100_000_000) < seconds(1000, 100_000_000, gaps=200)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Twelve accounts; so many new messages have come for each as its number says, a thousandfold."""
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    names = [f"a{number:02d}" for number in range(12)]
    with ledger.session() as session:
        for name in names:
            for seconds in (40.0, 0.2):  # the first copy, and a later pass
                mailboxes.finish_mailbox(
                    session,
                    name,
                    "verified",
                    folders=1,
                    messages=9,
                    octets=9,
                    problems=0,
                    seconds=seconds,
                    verified=True,
                )
    monkeypatch.setattr("bascule.tasks.accounts.names", lambda run: names)
    monkeypatch.setattr("bascule.mailbox.job_for", lambda access, account: account)
    monkeypatch.setattr(
        forecast,
        "forecast",
        lambda jobs, ledger, **_: [Forecast(name, not int(name[1:]), 1, 1, 1000 * int(name[1:]), 0) for name in jobs],
    )
    monkeypatch.setenv("BASCULE_MAILBOXES_AT_ONCE", "3")
    loaded = site.load(Path(__file__).parents[2] / "lab" / "site.yaml")
    return Run(loaded, None, ledger, journal.Origin("prepare", "run", "forecast"))  # type: ignore[arg-type]


def test_the_log_says_the_seconds_what_they_consist_of_and_the_ten_slowest(run: Run) -> None:
    with capture_logs() as lines:
        told = forecast.tell(run)
    line = lines[-1]
    assert line["event"].startswith(f"forecast: the outage takes about {told['seconds']} seconds (")
    assert told["seconds"] == pytest.approx(line["acts"] + line["look"] + line["mailboxes"], abs=2)
    assert line["least"] < told["seconds"] < line["most"]
    assert line["slots"] == 3
    assert [*line["slowest"]] == [f"a{number:02d}" for number in range(11, 1, -1)]


FIRST_COPY = [18.0 * number for number in range(1, 101)]


class Nights:
    """What runs of `prepare` leave in the ledger: a look, passes, and how long other tasks took."""

    def __init__(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ledger, self.at, self.number = run.ledger, datetime(2026, 11, 1), 0
        monkeypatch.setattr(task_log, "now", lambda: self.at)
        monkeypatch.setattr("bascule.ledger.journal.now", lambda: self.at)
        monkeypatch.setattr("bascule.ledger.passes.now", lambda: self.at)

    def prepare(
        self, seconds: Mapping[str, int], passes: Sequence[float] = (), accounts: int = 12,
        given: Sequence[str] = (), state: str = "verified",
    ) -> None:  # fmt: skip
        """One run over so many accounts, in which tasks took so long, and passes ended so long after the look.

        The accounts with a task are a00, a01 and so on, or those that are `given`, of which the first ones' passes end.
        """
        self.number, self.at = self.number + 1, self.at + timedelta(days=1)
        origin = journal.Origin("prepare", f"run {self.number}", "look_at_mailboxes")
        given = given or [f"a{place:02d}" for place in range(len(passes))]
        after = {"unchanged": [], "need a pass": dict.fromkeys(map(str, range(accounts)), ""), "with a task": [*given]}
        journal.append(self.ledger, journal.Entry("note", look.KIND, "mailboxes", origin, after=after))
        looked = self.at
        for account, ended in zip(given, passes, strict=False):
            self.at = looked + timedelta(seconds=ended)
            self.passed(account, state)
        for task, took in seconds.items():
            this = Try(replace(origin, task=task), 1)
            task_log.note(self.ledger, this, "running")
            self.at += timedelta(seconds=took)
            task_log.note(self.ledger, this, "done")

    def passed(self, account: str, state: str = "verified") -> None:
        """A pass over this mailbox has ended now."""
        with self.ledger.session() as session:
            ledger_passes.note(session, account, 1.0, copied=0, octets=0, state=state, ended=True)


@pytest.fixture
def nights(run: Run, monkeypatch: pytest.MonkeyPatch) -> Nights:
    return Nights(run, monkeypatch)


def test_calendars_and_filters_take_what_they_took_lately_and_not_what_the_first_copy_did(
    run: Run, nights: Nights
) -> None:
    nights.prepare({"copy_calendars": 900, "look_at_filters": 70})
    assert forecast.gather(run).calendars < 900
    for seconds in (500, 60, 3, 80):
        nights.prepare({"copy_calendars": seconds, "look_at_filters": 20})
    load = forecast.gather(run)
    assert (load.calendars, load.filters) == (80, 20)


def test_runs_for_a_few_accounts_are_none_to_go_by(run: Run, nights: Nights) -> None:
    nights.prepare({"copy_calendars": 5}, accounts=2)  # a pilot
    nights.prepare({"copy_calendars": 1170})  # the first copy of all
    nights.prepare({"copy_calendars": 60})
    for _ in range(3):
        nights.prepare({"copy_calendars": 1}, accounts=2)
    assert forecast.gather(run).calendars == 60


def test_forecast_and_reality_stand_side_by_side(run: Run, nights: Nights) -> None:
    assert forecast.lines(run.ledger) == []
    told = forecast.tell(run)["seconds"]
    (line,) = forecast.lines(run.ledger)
    assert f"the outage takes about {told} seconds" in line and "a11" in line and "a01" not in line
    phases.mark(run.ledger, "freeze", "started", run.origin)
    freeze, cutover = (replace(run.origin, phase=phase) for phase in ("freeze", "cutover"))
    for entry in (
        journal.Entry("intent", "virtual_machine", "old: imap-proxy", freeze, {"state": "shut off"}),
        journal.Entry("done", "address", "imap.obs.test", cutover, {"service": "imap"}),
    ):
        nights.at += timedelta(seconds=60)
        journal.append(run.ledger, entry)
    assert forecast.lines(run.ledger)[1] == f"the outage took 60 seconds, people's answers included; forecast: {told}"


def test_what_is_forecast_in_the_outage_or_later_is_none_that_it_is_judged_by(run: Run) -> None:
    def noted(seconds: int) -> None:
        parts = {"acts": 0, "mailboxes": 0, "filters": 0, "calendars": 0, "with a task": 0, "slots": 4, "questions": 0}
        after = {**parts, "seconds": seconds, "slowest": {}}
        journal.append(run.ledger, journal.Entry("note", "forecast", "window", run.origin, after=after))

    def told() -> list[str]:
        parts = (line.partition(": the outage takes ") for line in forecast.lines(run.ledger))
        return [takes.partition(" (")[0] or line for line, _, takes in parts]

    noted(10)
    phases.mark(run.ledger, "freeze", "started", run.origin)
    noted(20)
    freeze, cutover = (replace(run.origin, phase=phase) for phase in ("freeze", "cutover"))
    journal.append(run.ledger, journal.Entry("intent", "firewall", "old", freeze, {"side": "old", "state": "isolated"}))
    noted(30)
    assert told() == ["about 20 seconds"]
    journal.append(run.ledger, journal.Entry("done", "address", "imap.obs.test", cutover, {"service": "imap"}))
    noted(40)
    assert told() == ["about 20 seconds", "the outage took 0 seconds, people's answers included; forecast: 20"]
    phases.mark(run.ledger, "rollback", "finished", run.origin)
    assert told() == ["about 40 seconds"], "the next day's"


def test_a_mailbox_in_which_nothing_has_changed_costs_no_more_than_the_look_at_all(run: Run) -> None:
    load = forecast.gather(run)
    assert load.mailboxes["a00"] == 0.0
    assert load.look == pytest.approx(12 * forecast.OF_A_LOOK)
    assert window(load).seconds == window(replace(load, look=0.0)).seconds + load.look


def test_the_calendars_begin_with_the_look_and_the_mailboxes_after_it() -> None:
    short, long = (Load({"anna": 10.0}, 4, 5.0, calendars, look=50.0) for calendars in (55.0, 70.0))
    acts = window(short).acts
    assert (window(short).seconds - acts, window(long).seconds - acts) == (60.0, 70.0)


def test_mailboxes_are_done_at_the_pace_of_the_last_prepare_that_had_enough_of_them(run: Run, nights: Nights) -> None:
    nights.prepare({}, FIRST_COPY)
    assert forecast.gather(run).pace == 0.0  # everything was copied
    nights.prepare({}, [0.4 * number for number in range(1, 31)])
    nights.prepare({}, [60.0, 90.0])
    load = forecast.gather(run)
    assert load.pace == pytest.approx(0.4)
    changed = dict.fromkeys(map(str, range(100)), 0.8)
    assert window(replace(load, mailboxes=changed, slots=4)).mailboxes == pytest.approx(40.0)


@pytest.mark.parametrize("late", [3600.0, 6 * 3600.0])
def test_a_large_mailbox_and_one_that_was_mended_hours_later_slow_no_other_one_down(
    run: Run, nights: Nights, late: float
) -> None:
    nights.prepare({}, FIRST_COPY)
    nights.prepare({}, [*(0.4 * number for number in range(1, 25)), late])
    assert forecast.gather(run).pace == pytest.approx(0.4)


def test_a_pass_of_the_next_night_counts_for_none_of_this_one(run: Run, nights: Nights) -> None:
    nights.prepare({}, FIRST_COPY)
    given = [f"a{number:02d}" for number in range(30)]
    nights.prepare({}, [0.4 * number for number in range(1, 23)], given=given)
    nights.prepare({}, [1.0] * 8, given=given[22:])
    assert forecast.gather(run).pace == pytest.approx(0.4), "of the twenty-two that ended in theirs"


def test_the_first_copy_gives_no_pace_though_a_pilot_group_came_before_it(run: Run, nights: Nights) -> None:
    nights.prepare({}, [1.0, 2.0], accounts=2)
    nights.prepare({}, FIRST_COPY)
    assert forecast.gather(run).pace == 0.0
    nights.prepare({}, [0.4 * number for number in range(1, 16)])
    assert forecast.gather(run).pace == 0.0, "too few in this night"
    nights.prepare({}, [0.4 * number for number in range(1, 31)])
    assert forecast.gather(run).pace == pytest.approx(0.4)


def test_a_large_pilot_group_among_those_who_are_copied_first_gives_none_either(run: Run, nights: Nights) -> None:
    nights.prepare({}, FIRST_COPY[:30], accounts=30)
    nights.prepare({}, FIRST_COPY)
    assert forecast.gather(run).pace == 0.0, "the thirty had to wait for the seventy"


def test_somebody_new_takes_its_pace_from_no_night(run: Run, nights: Nights) -> None:
    nights.prepare({}, FIRST_COPY[:40])
    nights.prepare({}, [0.4 * number for number in range(1, 42)])
    assert forecast.gather(run).pace == pytest.approx(0.4)


@pytest.mark.parametrize("state", ["failed", "broken off"])
def test_a_pass_that_came_to_no_good_end_is_none_to_go_by(run: Run, nights: Nights, state: str) -> None:
    nights.prepare({}, [2.0 * number for number in range(1, 101)], state=state)
    nights.prepare({}, FIRST_COPY)
    assert forecast.gather(run).pace == 0.0, "what was begun before the first copy was none"
    nights.prepare({}, [0.1 * number for number in range(1, 101)], state=state)
    assert forecast.gather(run).pace == 0.0


def test_a_mailbox_of_which_a_person_is_asked_needs_a_pass_though_nothing_has_changed(run: Run) -> None:
    assert forecast.gather(run).mailboxes["a00"] == 0.0
    with run.ledger.session() as session:
        store.report(session, Problem("a00", "mailbox", "folder-name", "~x", "", facts={"folder": "~x"}))
    assert forecast.gather(run).mailboxes["a00"] > 0.0


def test_who_needs_no_pass_is_not_among_the_slowest(run: Run) -> None:
    with capture_logs() as lines:
        forecast.tell(run)
    assert lines[-1]["with a task"] == 11 and "a00" not in lines[-1]["slowest"]


def test_who_has_moved_before_costs_nothing(run: Run) -> None:
    moves.note(run.ledger, moves.begin(run.ledger, "a11", "new", {}, "run-0"), moves.State.DONE)
    assert [*forecast.gather(run).mailboxes] == [f"a{number:02d}" for number in range(11)]


def test_who_has_no_password_yet_is_counted_with_a_pass_and_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def job_for(access: object, account: str) -> str:
        if account == "a03":
            raise NoPassword("the connection `imap_old` has no password for a03 in `passwords`: add it there")
        return account

    monkeypatch.setattr("bascule.mailbox.job_for", job_for)
    with capture_logs() as lines:
        load = forecast.gather(run)
    assert len(load.mailboxes) == 12 and load.mailboxes["a03"] > 0.0
    (line,) = [line for line in lines if line["event"] == "no forecast of a mailbox"]
    assert (line["account"], "no password for a03" in line["reason"]) == ("a03", True)


@pytest.fixture
def odd_ones(monkeypatch: pytest.MonkeyPatch) -> list[MailboxJob]:
    """A hundred mailboxes; at one in ten Bascule makes a mistake."""

    def log_in(server: Server) -> SimpleNamespace:
        return SimpleNamespace(close=lambda: None)

    def compare(session: object, job: MailboxJob, *_: object) -> Forecast:
        if job.account.endswith("1"):
            raise ValueError("LOGIN hidden")
        return Forecast(job.account, True, 1, 0, 0, 0)

    monkeypatch.setattr(of_mailboxes, "log_in", log_in)
    monkeypatch.setattr(of_mailboxes, "list_folders", lambda session: None)
    monkeypatch.setattr(of_mailboxes, "_compare", compare)
    server = Server(Endpoint("imap.obs.test", 993, "tls"), Login("someone", "secret"))
    return [MailboxJob(f"a{number:02d}", server, server) for number in range(100)]


def test_a_mistake_at_some_mailboxes_is_their_reason_and_hides_no_others(run: Run, odd_ones: list[MailboxJob]) -> None:
    with capture_logs() as lines:
        found = of_mailboxes.forecast(odd_ones, run.ledger, connections=4)
    assert [each.account for each in found] == [job.account for job in odd_ones]
    told = {each.account: each.reason for each in found if not each.unchanged}
    assert [*told] == [f"a{number}1" for number in range(10)]
    assert told["a01"].startswith("a mistake in Bascule (") and "hidden" not in told["a01"]
    assert sorted(line["account"] for line in lines) == [*told]


def test_what_goes_wrong_with_the_forecast_of_all_is_raised(run: Run, odd_ones: list[MailboxJob]) -> None:
    def report(found: Forecast) -> None:
        raise BrokenPipeError

    with capture_logs(), pytest.raises(BrokenPipeError):
        of_mailboxes.forecast(odd_ones, run.ledger, connections=4, report=report)


def test_what_the_last_passes_took_is_believed_and_the_first_copy_is_not(run: Run) -> None:
    expected = forecast.OF_A_PROCESS + 0.2 + 1000 * forecast.OF_A_MESSAGE
    assert forecast.gather(run).mailboxes["a01"] == pytest.approx(expected)


@pytest.mark.parametrize(("tasks", "slots"), [("", 3), ("2", 2), ("3", 3), ("32", 3)])
def test_no_more_mailboxes_are_counted_at_once_than_tasks_are_started(
    run: Run, monkeypatch: pytest.MonkeyPatch, tasks: str, slots: int
) -> None:
    monkeypatch.setenv("BASCULE_TASKS_AT_ONCE", tasks)
    load = forecast.gather(run)
    assert load.slots == slots
    assert load.look == pytest.approx(12 * forecast.OF_A_LOOK), "measured with several connections, which share the CPU"


def test_the_slowest_stand_first_also_as_the_journal_has_them(run: Run) -> None:
    forecast.tell(run)
    (line,) = forecast.lines(run.ledger)
    places = [line.index(f"a{number:02d} ") for number in range(11, 1, -1)]
    assert places == sorted(places)
