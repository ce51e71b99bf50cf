"""A ledger as a day leaves it, at some moment of it and with any number of accounts: for tests, pictures, measurements.

Nothing is moved: what tasks would write is written, with the times at which they would have.
"""

import contextlib
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Literal
from unittest import mock

import sqlalchemy as sa
from bascule.ledger import Ledger, filters, journal, mailboxes, passes, phases, pictures, task_log, waves
from bascule.ledger.base import now
from bascule.mailbox.folders.uids import OWN_MAIL
from bascule.problems import record, store
from bascule.problems.model import Action, Option, Problem, Proposal
from bascule.views import names

Moment = Literal["prepared", "transfer", "gate", "done"]
ORDER: tuple[Moment, ...] = ("prepared", "transfer", "gate", "done")
RUN = "manual__2026-06-27T04:00:00+00:00"
NIGHT = "scheduled__2026-06-26T01:00:00+00:00"
HOSTILE = "<img src=x onerror=alert(1)>\"'\u202egnp.exe " + "x" * 5000
PER_WAVE = 75
REFUSED = "NO [CANNOT] Message contains bare newlines"
# The kinds and parameters of the acts by which the outage begins and ends.
ACTS: dict[str, tuple[str, dict[str, Any]]] = {
    "stop_imap_proxy_virtual_machine": ("virtual_machine", {"state": "shut off"}),
    "stop_imap_on_old": ("service", {"service": "imap_old", "state": "stopped"}),
    "take_imap_address": ("address", {"service": "imap"}),
}


class MadeDay:
    """The ledger while it is filled; its clock goes as the day went, and ends now."""

    def __init__(self, ledger: Ledger, accounts: int, moment: Moment, seed: int) -> None:
        self.ledger, self.moment = ledger, moment
        self.random = random.Random(seed)
        self.accounts = [self._name(number) for number in range(accounts)]
        self.end = now().replace(microsecond=0)
        self.clock = self.end

    def _name(self, number: int) -> str:
        first = self.random.choice(("amelie", "bruno", "chloe", "denis", "eloise", "farid", "giulia", "hugo", "ines"))
        last = self.random.choice(("garcon", "lefevre", "munoz", "daubigne", "stjean", "kovacs", "lacour", "zeller"))
        return f"{first[0]}{last}{number:04}"

    def make(self) -> None:
        with self._our_clock():
            self._before()
            if self.moment != "prepared":
                self._day()

    @contextlib.contextmanager
    def _our_clock(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for module in (journal, task_log, mailboxes, passes, store, filters, pictures):
                stack.enter_context(mock.patch.object(module, "now", lambda: self.clock))
            yield

    def _goes(self, seconds: float) -> None:
        self.clock += timedelta(seconds=seconds)

    def _task(self, phase: str, task: str, seconds: float, run: str = RUN, **more: Any) -> None:
        """One task that began now; the clock then stands at its end."""
        origin = journal.Origin(phase, run, task, "postmaster")
        this = task_log.Try(origin, more.get("attempt", 1), more.get("about", ""))
        task_log.note(self.ledger, this, "running")
        self._goes(seconds)
        task_log.note(self.ledger, this, more.get("state", "done"), more.get("sentence", ""))

    def _mark(self, phase: str, state: phases.Mark, run: str = RUN, note: str = "") -> None:
        phases.mark(self.ledger, phase, state, journal.Origin(phase, run, "begin", "postmaster"), note)

    def _before(self) -> None:
        self.clock = self.end - timedelta(hours=29)
        self._mark("prepare", "started", NIGHT)
        self._task("prepare", "preflight", 14, NIGHT)
        self._task("prepare", "list_accounts", 2, NIGHT)
        began = self.clock
        self._passes(self.accounts, began, hours=6.0, first=True)
        self._folders()
        self._problems()
        self.clock = began + timedelta(hours=6)
        self._task("prepare", "look_at_filters", 340, NIGHT)
        self._task("prepare", "copy_calendars", 500, NIGHT)
        self._task("prepare", "forecast", 40, NIGHT)
        parts = {"acts": 65, "look": 15, "mailboxes": 5400, "filters": 330, "calendars": 410}
        slowest = {account: 30.5 + number for number, account in enumerate(self.accounts[:10])}
        forecast = {"seconds": 5480, "least": 3288, "most": 9864, **parts, "with a task": 300, "slots": 4,
                    "questions": 60, "slowest": slowest}  # fmt: skip
        origin = journal.Origin("prepare", NIGHT, "forecast", "schedule")
        journal.append(self.ledger, journal.Entry("note", "forecast", "window", origin, after=forecast))
        self._mark("prepare", "finished", NIGHT)
        self._plan()

    def _plan(self) -> None:
        """Moves in waves, one a day from tomorrow on; some people wait until somebody says when."""
        waved, waiting = self.accounts[:-5], self.accounts[-5:]
        planned = [
            waves.Planned(account, str(number // PER_WAVE + 1), self.end + timedelta(days=number // PER_WAVE + 1))
            for number, account in enumerate(waved)
        ]
        planned += [waves.Planned(account, note="5 share a mailbox") for account in waiting]
        waves.replace(self.ledger, planned)

    def _passes(self, accounts: list[str], began: datetime, hours: float, *, first: bool) -> None:
        rows, states = [], []
        for number, account in enumerate(accounts):
            size = self.random.lognormvariate(18.5, 1.2)
            seconds = (8 + size / 4e6) if first else 1.5 + self.random.random() * 4
            ended = began + timedelta(hours=hours * (number + 1) / len(accounts))
            messages = int(size / 60_000) + 1
            copied = messages if first else self.random.randrange(9)
            rows.append({"account": account, "began_at": ended - timedelta(seconds=seconds), "seen_at": ended,
                         "ended_at": ended, "copied": copied, "bytes": int(size) if first else copied * 60_000,
                         "seconds": seconds, "state": "verified"})  # fmt: skip
            states.append({"account": account, "state": "verified", "folders": 6, "messages": messages,
                           "bytes": int(size), "verified": messages, "problems": 0, "passes": 1, "seconds": seconds,
                           "note": "", "last_pass_at": ended, "verified_at": ended})  # fmt: skip
        with self.ledger.session() as session:
            session.execute(sa.insert(passes.PassRow), rows)
            if first:
                session.execute(sa.insert(mailboxes.MailboxRow), states)
            else:
                ends = [
                    {"account": r["account"], "last_pass_at": r["ended_at"], "verified_at": r["ended_at"], "passes": 2}
                    for r in rows
                ]
                session.execute(sa.update(mailboxes.MailboxRow), ends)

    def _folders(self) -> None:
        folders = [
            {"account": account, "old_name": name, "old_hash": name, "new_name": name.removeprefix("INBOX."),
             "created": True, "subscribed": True, "finished": True, "doubt_from": 1, "old_uidvalidity": 7,
             "old_uidnext": 99, "old_modseq": 1, "old_messages": 40 + number, "new_uidvalidity": 7 + number % 2,
             "new_uidnext": 99, "new_modseq": 1, "new_messages": 40 + number, "bytes": 2_400_000,
             "uids": mailboxes.CHANGED if number % 2 else mailboxes.KEPT,
             "uids_reason": OWN_MAIL if number % 2 else ""}
            for account in self.accounts[:50]
            for number, name in enumerate(("INBOX", "INBOX.Sent", "INBOX.Réunions.2018 été", "INBOX.Trash"))
        ]  # fmt: skip
        with self.ledger.session() as session:
            session.execute(sa.insert(mailboxes.FolderRow), folders)

    def _problems(self) -> None:
        some = self.accounts[:: max(4, len(self.accounts) // 60)]
        with self.ledger.session() as session:
            for number, account in enumerate(some):
                for problem in self._of_account(number, account):
                    store.report(session, problem)
                mailboxes.set_mailbox(session, account, "problems")

    def _of_account(self, number: int, account: str) -> list[Problem]:
        name = HOSTILE if number == 3 else f"Budget {2015 + number % 9}/{2016 + number % 9}"
        subject = HOSTILE if number == 3 else f"INBOX.{name}"
        found = [
            Problem(
                account, "mailbox", "folder-name", subject, f"The new server can't take the name {name}.",
                facts={"name": name}, details={"separator": "/"},
                proposal=Proposal(Action.RENAME, name=f"Budget {number}"),
                server_words="NO [CANNOT] Character not allowed in mailbox name: '/'",
            )
        ]  # fmt: skip
        if number % 4 == 0:
            found += [
                Problem(
                    account, "mailbox", "message-refused", f"INBOX, UID {uid}", "The new server refuses this message.",
                    facts={"message_id": f"<{uid}.{account}@obs.test>", "subject": "Relevé", "from": "labo@obs.test",
                           "size": 18_000},
                    proposal=Proposal(Action.REPAIR), server_words=REFUSED, cause="bare newlines",
                )
                for uid in range(100, 104)
            ]  # fmt: skip
        if number % 7 == 0:
            found.append(
                Problem(
                    account,
                    "sieve",
                    "filter rule never matches",
                    "roundcube",
                    "The rule tests a header called 'Subject:'.",
                    proposal=Proposal(Action.REPAIR, text='if header :contains "Subject" "x" { discard; }\n'),
                )
            )
        return found

    def _day(self) -> None:
        lengths = {"transfer": 70, "gate": 150, "done": 260}
        self.clock = self.end - timedelta(minutes=lengths[self.moment])
        self._mark("migrate", "started")
        self._acts("freeze")
        self._transfer()
        if ORDER.index(self.moment) >= ORDER.index("gate"):
            self._cutover()
        if self.moment == "done":
            self._acts("drain")
            self._mark("migrate", "finished")

    def _acts(self, phase: str, *, without: tuple[str, ...] = ("begin", "finish")) -> None:
        self._mark(phase, "started")
        for task in names.lines()[phase]:
            if task not in without:
                self._change(phase, task)
        self._mark(phase, "finished")

    def _change(self, phase: str, task: str) -> None:
        origin = journal.Origin(phase, RUN, task, "postmaster")
        if names.line(phase, task).at:
            before, after = {"units": {"dovecot.service": "active"}}, {"units": {"dovecot.service": "inactive"}}
            kind, parameters = ACTS.get(task, ("service", {}))
            entry = journal.Entry("intent", kind, f"old: {task}", origin, parameters, before=before, after=after)
            journal.append(self.ledger, entry)
        self._task(phase, task, 4 + self.random.random() * 30)
        if names.line(phase, task).at:
            journal.append(self.ledger, journal.Entry("done", kind, f"old: {task}", origin, parameters))

    def _transfer(self) -> None:
        self._mark("transfer", "started")
        self._task("transfer", "list_accounts", 3)
        self._task("transfer", "look_at_mailboxes", 15)
        began = self.clock
        waiting = set(store.accounts_with_open(self.ledger))
        good = [account for account in self.accounts if account not in waiting]
        complete = self.moment != "transfer"
        self._passes(good if complete else good[: int(len(good) * 0.62)], began, hours=1.0, first=False)
        self._questions(sorted(waiting), began)
        self.clock = began + timedelta(minutes=7)
        self._task("transfer", "convert_filters", 310)
        if not complete:
            self._still_running(began)
            return
        self.clock = began + timedelta(minutes=62)
        self._decide()
        for task in ("migrate_calendars", "settle_filters", "carry_pop3_uidls", "send_kept_mail_to_old"):
            self._task("transfer", task, 20 + self.random.random() * 60)
        self._mark("transfer", "finished")

    def _questions(self, accounts: list[str], began: datetime) -> None:
        for number, account in enumerate(accounts):
            self.clock = began + timedelta(minutes=3 + number / 3)
            origin = journal.Origin("transfer", RUN, f"mailbox.sync[{self.accounts.index(account)}]", "postmaster")
            task_log.note(
                self.ledger, task_log.Try(origin, 1, account, of_many=True), "asking", f"1 problem(s) of {account}"
            )

    def _still_running(self, began: datetime) -> None:
        self.clock = began + timedelta(minutes=30)
        sentence = (
            "mx can't be reached: connect to mx.obs.test:22 timed out. Look whether the host runs, then clear this task"
        )
        self._task("transfer", "migrate_calendars", 75, state="failed", sentence=sentence)
        for account in self.accounts[-4:]:
            row = passes.PassRow(
                account=account, began_at=self.end - timedelta(minutes=9), seen_at=self.end, ended_at=None,
                copied=4120, bytes=310_000_000, seconds=540.0, state="copying",
            )  # fmt: skip
            with self.ledger.session() as session:
                session.add(row)
                mailboxes.set_mailbox(session, account, "copying")

    def _decide(self) -> None:
        """Everything that is open is decided and settled, as people and passes do it."""
        author = record.Author("postmaster", "page", journal.Origin("transfer", RUN, "mailbox.sync[1]", "postmaster"))
        found = store.problems(self.ledger)
        kept = found[-1].account if found else ""
        choices = [
            record.Choice(each, Option.KEEP_ON_OLD if each.account == kept else
                          Option.LEAVE_OUT if each.room == "mailbox" and each.id % 5 == 0 else Option.APPLY)
            for each in found
        ]  # fmt: skip
        record.record(self.ledger, choices, author)
        with self.ledger.session() as session:
            for problem in found:
                store.settle(session, problem.id)
            for account in {problem.account for problem in found}:
                state: mailboxes.MailboxState = "kept on old" if account == kept else "verified"
                mailboxes.set_mailbox(session, account, state, last_pass_at=self.clock, verified_at=self.clock)
            session.execute(sa.update(task_log.TaskRow).where(task_log.TaskRow.state == "asking").values(
                state="done", ended_at=self.clock))  # fmt: skip

    def _cutover(self) -> None:
        self._mark("cutover", "started")
        self._task("cutover", "wait_until_no_problem_is_open", 2)
        if self.moment == "gate":
            self._task("cutover", "go_no_go", 0, state="asking", sentence="Go or no go?")
            return
        self._task("cutover", "go_no_go", 140)
        origin = journal.Origin("cutover", RUN, "go_no_go", "postmaster")
        after = {"option": "Go: take the addresses", "decided_by": "postmaster"}
        journal.append(self.ledger, journal.Entry("decision", "gate", "cutover", origin, after=after))
        self._mark("cutover", "go", note="by postmaster")
        for task in names.lines()["cutover"]:
            if task not in ("begin", "finish", "wait_until_no_problem_is_open", "go_no_go", "functional_test"):
                self._change("cutover", task)
            if task == "list_functional_tests":
                self._functional_tests()
        self._mark("cutover", "finished")

    def _functional_tests(self) -> None:
        tests = ("imap-login", "pop3-login", "mail-arrives-once", "webmail-redirect", "webmail-in-a-browser")
        for number, test in enumerate(tests):
            origin = journal.Origin("cutover", RUN, f"functional_test[{number}]", "postmaster")
            self._task("cutover", f"functional_test[{number}]", 6, about=test)
            after: dict[str, Any] = {"ok": True, "evidence": f"{test}: as a user does it, it works"}
            if test == "webmail-in-a-browser":
                after["pictures"] = "/opt/bascule/reports/pictures/webmail-20260627-132000"
                pictures.keep(self.ledger, after["pictures"], {"2-folders.png": PNG})
            journal.append(self.ledger, journal.Entry("note", "functional test", test, origin, after=after))


# One grey pixel.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
    "3a7e9b550000000a49444154789c63680000008200814cd17bd20000000049454e44ae426082"
)


def make_day(ledger: Ledger, accounts: int = 300, moment: Moment = "transfer", seed: int = 1) -> None:
    """Fill an empty ledger with a day that stands at this moment now."""
    MadeDay(ledger, accounts, moment, seed).make()
