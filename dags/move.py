"""No night: accounts move one by one while everybody works, or back; what broke off is ended."""

from datetime import timedelta

from airflow.sdk import dag, task_group
from bascule.operators.holds import WatchHolds
from bascule.operators.params import move_settings
from bascule.operators.tasks import (
    BeginMoves,
    EndBrokenMoves,
    FinishPhase,
    ListAccountsToMove,
    MoveAccount,
    PreflightOfMoves,
    TellMoved,
    WaitUntilMovesMayBegin,
)


@dag(**move_settings())
def move():
    begin = BeginMoves(task_id="begin", to="{{ params.to }}")
    undo_overdue_holds = EndBrokenMoves(task_id="undo_overdue_holds", overdue_only=True, others_move=True)
    time = WaitUntilMovesMayBegin(
        task_id="wait_for_the_time",
        to="{{ params.to }}",
        mode="reschedule",
        poke_interval=30,
        timeout=timedelta(days=60),
    )
    preflight = PreflightOfMoves(task_id="preflight")
    accounts = ListAccountsToMove(task_id="list_accounts_to_move", to="{{ params.to }}")

    @task_group
    def account(account):
        MoveAccount(
            task_id="move", account=account, to="{{ params.to }}", at_once="{{ params.at_once }}", pool="mailboxes"
        )

    moved = account.expand(account=accounts.output)
    watch_holds = WatchHolds(task_id="watch_holds", moving="account.move")
    leave_nobody_held = EndBrokenMoves(task_id="leave_nobody_held", trigger_rule="all_done")
    tell_owners = TellMoved(task_id="tell_owners", trigger_rule="all_done")
    finish = FinishPhase(task_id="finish", trigger_rule="none_failed")

    begin >> undo_overdue_holds >> time >> preflight >> accounts
    accounts >> watch_holds
    moved >> leave_nobody_held >> tell_owners
    [moved, watch_holds, leave_nobody_held, tell_owners] >> finish


move()
