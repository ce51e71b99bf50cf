"""06:00 to 06:38: nobody reads, nobody delivers, nothing gets lost; old's IMAP is open to the copy alone."""

from airflow.sdk import dag
from bascule.operators.params import FREEZE_DOC, phase_settings
from bascule.operators.tasks import ApplyChange, BeginPhase, EmptyOldQueue, FinishPhase, Forecast, RequeueMail


@dag(**phase_settings(FREEZE_DOC, for_everybody=True))
def freeze():
    begin = BeginPhase(task_id="begin")
    forecast = Forecast(task_id="forecast")
    stop_imap_on_new = ApplyChange(
        task_id="stop_imap_on_new", change="service", parameters={"service": "imap_new", "state": "stopped"}
    )
    stop_reception_on_new = ApplyChange(
        task_id="stop_mail_reception_on_new",
        change="service",
        parameters={"service": "reception_new", "state": "stopped"},
    )
    change_destination = ApplyChange(task_id="change_mail_destination_in_directory", change="directory")
    create_aliases = ApplyChange(task_id="create_aliases_on_mx", change="aliases")
    reroute = RequeueMail(task_id="reroute_mail_queued_at_mx")
    stop_proxy = ApplyChange(
        task_id="stop_imap_proxy_virtual_machine", change="virtual_machine", parameters={"state": "shut off"}
    )
    stop_imap_on_old = ApplyChange(
        task_id="stop_imap_on_old", change="service", parameters={"service": "imap_old", "state": "stopped"}
    )
    stop_backup_on_old = ApplyChange(
        task_id="stop_mailbox_backup_on_old",
        change="service",
        parameters={"service": "backup_old", "state": "stopped"},
    )
    isolate_old = ApplyChange(
        task_id="isolate_imap_on_old", change="firewall", parameters={"side": "old", "state": "isolated"}
    )
    restart_imap_on_old = ApplyChange(
        task_id="restart_imap_on_old", change="service", parameters={"service": "imap_old", "state": "running"}
    )
    verify_isolation = ApplyChange(
        task_id="verify_imap_on_old_is_isolated", change="firewall", parameters={"side": "old", "state": "isolated"}
    )
    empty_old_queue = EmptyOldQueue(task_id="deliver_mail_queued_on_old")
    isolate_new = ApplyChange(
        task_id="isolate_imap_on_new", change="firewall", parameters={"side": "new", "state": "isolated"}
    )
    start_imap_on_new = ApplyChange(
        task_id="start_imap_on_new_for_the_copy",
        change="service",
        parameters={"service": "imap_new", "state": "running"},
    )
    finish = FinishPhase(task_id="finish")

    begin >> [stop_imap_on_new, stop_reception_on_new] >> change_destination >> create_aliases >> reroute >> stop_proxy
    begin >> forecast >> stop_proxy
    # From here on nobody reads: what can be done before, or beside it, is.
    stop_proxy >> stop_imap_on_old >> [stop_backup_on_old, isolate_old]
    isolate_old >> restart_imap_on_old >> [verify_isolation, empty_old_queue]
    stop_imap_on_new >> isolate_new >> start_imap_on_new
    [start_imap_on_new, stop_backup_on_old, verify_isolation, empty_old_queue] >> finish


freeze()
