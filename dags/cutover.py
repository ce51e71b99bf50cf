"""12:57 to 13:30: a person says go; the new server takes the addresses, the mail flows, the tests pass."""

from airflow.sdk import dag
from bascule.operators.hitl import GoNoGo, GoOnDespiteFailedTests
from bascule.operators.params import CUTOVER_DOC, phase_settings
from bascule.operators.tasks import (
    ApplyChange,
    BeginPhase,
    DeclareInProduction,
    FinishPhase,
    FlushQueue,
    FunctionalTest,
    ListFunctionalTests,
    NoProblemIsOpen,
)


@dag(**phase_settings(CUTOVER_DOC, for_everybody=True))
def cutover():
    begin = BeginPhase(task_id="begin")
    no_problem_is_open = NoProblemIsOpen(task_id="wait_until_no_problem_is_open", mode="reschedule", poke_interval=30)
    go_no_go = GoNoGo(task_id="go_no_go")
    open_imap_on_new = ApplyChange(
        task_id="open_imap_on_new", change="firewall", parameters={"side": "new", "state": "open"}
    )
    take_imap = ApplyChange(task_id="take_imap_address", change="address", parameters={"service": "imap"})
    redirect_webmail = ApplyChange(task_id="redirect_webmail_to_new", change="webmail")
    start_reception = ApplyChange(
        task_id="start_mail_reception_on_new",
        change="service",
        parameters={"service": "reception_new", "state": "running"},
    )
    flush = FlushQueue(task_id="let_queued_mail_flow")
    take_pop = ApplyChange(task_id="take_pop_address", change="address", parameters={"service": "pop"})
    tests = ListFunctionalTests(task_id="list_functional_tests")
    functional_tests = FunctionalTest.partial(task_id="functional_test", map_index_template="{{ task.test }}").expand(
        test=tests.output
    )
    # Airflow's `one_failed` would ask before the other tests have ended.
    go_on = GoOnDespiteFailedTests(task_id="go_on_despite_failed_tests", trigger_rule="all_done")
    declare = DeclareInProduction(task_id="declare_in_production")
    finish = FinishPhase(task_id="finish")

    (
        begin
        >> no_problem_is_open
        >> go_no_go
        >> open_imap_on_new
        >> take_imap
        >> redirect_webmail
        >> start_reception
        >> flush
        >> take_pop
        >> tests
        >> functional_tests
        >> go_on
        >> declare
        >> finish
    )


cutover()
