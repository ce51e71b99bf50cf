"""The tasks that ask nobody: each says which function of `bascule.tasks` it calls, and with what."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import BaseSensorOperator

from bascule import tasks
from bascule.operators.base import BasculeOperator, task_run
from bascule.operators.params import BY_ACCOUNT

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from bascule.tasks.run import Run

# Colours of the graph: what looks, what carries mail, filters or calendars, what changes the infrastructure.
LOOKS, MAIL, FILTERS, CALENDARS, CHANGES = "#e3eef9", "#d9efdf", "#f3e8fb", "#fdf6d0", "#fde8c8"


class BeginPhase(BasculeOperator):
    """First task of every phase: the site file is right, and the journal allows the phase to run."""

    def act(self, run: "Run") -> Any:
        return tasks.phase.begin(run)


class FinishPhase(BasculeOperator):
    """Last task of every phase: all tasks before it have done their work; the journal gets to know."""

    def act(self, run: "Run") -> Any:
        return tasks.phase.finish(run)


class ListAccounts(BasculeOperator):
    """The accounts that this run works on, by name: what the mapped groups are made from."""

    ui_color = LOOKS

    def act(self, run: "Run") -> Any:
        return tasks.accounts.list_accounts(run)


class ListAccountsWithProblems(BasculeOperator):
    """The accounts about which a person has to be asked, or of which a decision waits to be carried out."""

    ui_color = LOOKS

    def act(self, run: "Run") -> Any:
        return tasks.accounts.list_with_problems(run)


class ListAccountsToCarryBack(BasculeOperator):
    """The accounts whose mail may have reached new since the go."""

    ui_color = LOOKS

    def act(self, run: "Run") -> Any:
        return tasks.accounts.list_to_carry_back(run)


class OfOneAccount(BasculeOperator):
    """Works on one account, by whose name Airflow shows it."""

    template_fields: Sequence[str] = ("account",)
    ui_color = MAIL

    def __init__(self, *, account: str, **kwargs: Any) -> None:
        super().__init__(map_index_template=BY_ACCOUNT, **kwargs)
        self.account = account


class CopyMailbox(OfOneAccount):
    """One pass over one mailbox, days before: problems are written down, nobody is asked.

    Returns {"folders": n, "messages": n, "copied": n, "bytes": n, "problems": n}.
    """

    def act(self, run: "Run") -> Any:
        return tasks.mailbox.sync(run, self.account, last_try=False)  # what may pass by itself is no problem yet


class CarryBack(OfOneAccount):
    """Brings the mail of one account that reached new since the last pass to old.

    Returns {"copied": n, "bytes": n, "there": n}.
    """

    def act(self, run: "Run") -> Any:
        return tasks.mailbox.carry_back(run, self.account)


class PreflightOfMoves(BasculeOperator):
    """Looks at what moves need, and tries the hold with the probe's account. A failure among the findings fails it."""

    ui_color = LOOKS

    def act(self, run: "Run") -> Any:
        return tasks.checks.preflight_moves(run)


class OfOneDirection(BasculeOperator):
    """Works on all accounts that a run of `move` was asked for. `to`: `new`, or back to `old`."""

    template_fields = ("to",)
    ui_color = LOOKS

    def __init__(self, *, to: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.to = to


class BeginMoves(OfOneDirection):
    """First task of `move`: who is meant is also looked up, before the time is waited for and hosts are asked."""

    def act(self, run: "Run") -> Any:
        tasks.move.asked_for(run, tasks.move.server(self.to))
        return tasks.phase.begin(run)


class WaitUntilMovesMayBegin(BaseSensorOperator):
    """Waits for the start of the wave and for the working hours; skipped when the moves were stopped meanwhile."""

    template_fields = ("to",)
    ui_color = LOOKS

    def __init__(self, *, to: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.to = to

    def poke(self, context: "Context") -> bool:
        with task_run(context) as run:
            return tasks.waves.is_time(run, tasks.move.server(self.to))


class ListAccountsToMove(OfOneDirection):
    """The accounts that were asked for, by name."""

    def act(self, run: "Run") -> Any:
        to = tasks.move.server(self.to)
        found = tasks.move.list_to_move(run, to)
        if to == "new":
            tasks.waves.tell_who_is_parted(run, found)
        return found


class MoveAccount(OfOneAccount):
    """Moves one account to `to`, or is skipped. Returns `moved`, `was there` or `would move`."""

    template_fields: Sequence[str] = ("account", "to", "at_once")
    ui_color = CHANGES

    def __init__(self, *, account: str, to: str, at_once: str, **kwargs: Any) -> None:
        super().__init__(account=account, **kwargs)
        self.to, self.at_once = to, at_once

    def act(self, run: "Run") -> Any:
        to = tasks.move.server(self.to)
        tasks.waves.wait_for_turn(run, self.account, to)
        return tasks.move.move(run, self.account, to, int(self.at_once))


class EndBrokenMoves(BasculeOperator):
    """Undoes (or finishes, after its last pass) every move that broke off. Returns the accounts.

    `overdue_only`: those whose hold has lasted too long. Else also what came to old behind the moves is put on new.
    `others_move`: what can't be ended does not fail the task, since others are to move behind it.
    """

    ui_color = CHANGES

    def __init__(self, *, overdue_only: bool = False, others_move: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.overdue_only, self.others_move = overdue_only, others_move

    def act(self, run: "Run") -> Any:
        if self.others_move:
            return tasks.holds.undo_overdue(run)
        if self.overdue_only:
            return tasks.move.end_what_was_left(run, overdue_only=True)
        with tasks.behind.carried_after(run):
            return tasks.move.end_what_was_left(run, overdue_only=False)


class OfManyAccounts(BasculeOperator):
    """Works on many accounts in one task."""

    template_fields = ("accounts",)

    def __init__(self, *, accounts: "list[str] | XComArg", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.accounts = cast("list[str]", accounts)  # Airflow renders it before the task runs


class LookAtMailboxes(OfManyAccounts):
    """One look over all mailboxes. Returns the accounts that need a pass: what the mapped group is made from."""

    ui_color = LOOKS

    def act(self, run: "Run") -> Any:
        return tasks.look.look(run, self.accounts)


class ConvertFilters(OfManyAccounts):
    """Fetches, converts, checks and puts the filters of the accounts. Returns those about which a person is asked.

    `only_look`: nothing is put on the new server (in `prepare`). `all_settled`: problems left end the task as failed.
    """

    ui_color = FILTERS

    def __init__(self, *, only_look: bool = False, all_settled: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.only_look = only_look
        self.all_settled = all_settled

    def act(self, run: "Run") -> Any:
        return tasks.filters.convert(run, self.accounts, only_look=self.only_look, all_settled=self.all_settled)


class MigrateCalendars(OfManyAccounts):
    """Carries calendars and address books. Returns the accounts about which a person is asked."""

    ui_color = CALENDARS

    def act(self, run: "Run") -> Any:
        return tasks.calendars.migrate(run, self.accounts)


class ApplyChange(BasculeOperator):
    """Brings one change about: observe, note the intent, apply, verify, note the outcome.

    `change` is the kind's name in `bascule.changes.KINDS`, `parameters` its keyword arguments.
    Returns the outcome: `unchanged`, `would change` or `done`.
    """

    template_fields = ("parameters",)
    ui_color = CHANGES

    def __init__(self, *, change: str, parameters: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.change = change
        self.parameters = dict(parameters or {})

    def act(self, run: "Run") -> Any:
        return tasks.change.apply(run, self.change, self.parameters)


class UndoCutover(BasculeOperator):
    """Takes the new server out of production, if a go was given. Returns how many changes were undone."""

    ui_color = CHANGES

    def act(self, run: "Run") -> Any:
        return tasks.rollback.undo_cutover(run)


class UndoChanges(BasculeOperator):
    """Puts back what every change in force found before it. Returns how many were undone."""

    ui_color = CHANGES

    def act(self, run: "Run") -> Any:
        return tasks.rollback.undo_changes(run)


class SendKeptMailToOld(BasculeOperator):
    """Gives the accounts of this run that are kept on old their old mail destination back. Returns the accounts."""

    ui_color = CHANGES

    def act(self, run: "Run") -> Any:
        return tasks.kept_on_old.send_mail_to_old(run)


class RequeueMail(BasculeOperator):
    """Lets the MX look up again where the mail goes that it accepted before the directory was changed."""

    def act(self, run: "Run") -> Any:
        return tasks.queues.requeue(run)


class FlushQueue(BasculeOperator):
    """Lets the MX try at once to deliver what it holds."""

    def act(self, run: "Run") -> Any:
        return tasks.queues.flush(run)


class EmptyOldQueue(BasculeOperator):
    """Waits until the old server has delivered what it had accepted, so that the last pass finds it."""

    def act(self, run: "Run") -> Any:
        return tasks.queues.empty_old(run)


class CarryUidls(BasculeOperator):
    """Gives the messages on new the UIDLs that POP3 programs know. Names who fetches anew; nothing fails by it."""

    def act(self, run: "Run") -> Any:
        return tasks.pop3.carry_uidls(run)


class Preflight(BasculeOperator):
    """Looks at everything that the day will need; changes nothing. A failure among the findings fails the task."""

    ui_color = LOOKS

    def act(self, run: "Run") -> Any:
        return tasks.checks.preflight(run)


class Forecast(BasculeOperator):
    """How long the window will be, by what it consists of, from what has changed and what the last passes took."""

    ui_color = LOOKS

    def act(self, run: "Run") -> Any:
        return tasks.forecast.tell(run)


class ListFunctionalTests(BasculeOperator):
    """The names of the functional tests that this site asks for."""

    ui_color = LOOKS

    def act(self, run: "Run") -> Any:
        return tasks.checks.list_functional_tests(run)


class FunctionalTest(BasculeOperator):
    """One functional test, from a user's place. Returns its sentence of evidence."""

    template_fields = ("test",)
    ui_color = LOOKS

    def __init__(self, *, test: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.test = test

    def act(self, run: "Run") -> Any:
        return tasks.checks.functional_test(run, self.test)


class NoProblemIsOpen(BaseSensorOperator):
    """Waits until every problem has been settled by a person."""

    ui_color = LOOKS

    def poke(self, context: "Context") -> bool:
        with task_run(context) as run:
            return tasks.gate.is_free(run)


class DeclareInProduction(BasculeOperator):
    """All functional tests have passed, or a person goes on without: the journal says that new is in production."""

    def act(self, run: "Run") -> Any:
        return tasks.report.declare_in_production(run)


class AccountForMail(BasculeOperator):
    """Every message that the MX accepted since the freeze began was delivered, or is named."""

    ui_color = LOOKS

    def act(self, run: "Run") -> Any:
        return tasks.report.account_for_mail(run)


class TellOwners(BasculeOperator):
    """One letter into the new INBOX of everybody in whose mailbox something was decided, exactly once.

    Returns {"letters": n now, "accounts": n with something to tell}.
    """

    def act(self, run: "Run") -> Any:
        return tasks.letters.tell_owners(run)


class TellMoved(BasculeOperator):
    """The same letter for those who have moved in this run. Returns {"letters": n now}."""

    def act(self, run: "Run") -> Any:
        return tasks.letters.tell_moved(run)


class TellBeforeMoves(BasculeOperator):
    """One letter to everybody whose wave starts soon. Returns {"letters": n now, "not written": n}."""

    def act(self, run: "Run") -> Any:
        return tasks.letters.tell_before_moves(run)


class FinalReport(BasculeOperator):
    """The report in the task's log, and the journal as JSON lines beside the ledger."""

    ui_color = LOOKS

    def act(self, run: "Run") -> Any:
        return tasks.report.final_report(run)
