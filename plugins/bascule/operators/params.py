"""What all phases share: the parameters of the trigger form, how often a task is tried, the pages' words."""

from datetime import timedelta
from typing import Any

from airflow.sdk import Param

# A host that can't be reached is tried again soon; what a person must mend fails at once (see runtime.sentences).
PHASE_DEFAULTS: dict[str, Any] = {"retries": 2, "retry_delay": timedelta(seconds=10)}


def phase_settings(doc_md: str, schedule: str | None = None, *, for_everybody: bool = False) -> dict[str, Any]:
    """The arguments of `@dag` that every phase has: one run at a time, the same form, the same tries.

    `for_everybody`: the phase can't be narrowed to some accounts, and its form does not offer it.
    """
    params = phase_params()
    if for_everybody:
        del params["accounts"]
    return {
        "schedule": schedule,
        "catchup": False,
        "max_active_runs": 1,
        "params": params,
        "default_args": PHASE_DEFAULTS,
        "doc_md": doc_md,
        "tags": ["bascule"],
    }


# An answer within a second of the question can make the scheduler lose the task: it asks again then.
REVIEW: dict[str, Any] = {
    "retries": 2,
    "retry_delay": timedelta(seconds=1),
    "map_index_template": "{{ task.account }}",
}

# The second round. Airflow keeps the page of a question for ever, also when its task is cleared or tried again: what is
# left after the first round can be shown by another task only.
AGAIN: dict[str, Any] = {**REVIEW, "trigger_rule": "one_failed"}

PREPARE_DOC = """
**Days before.** Looks at everything that the day will need (`preflight`), copies every mailbox while the old server is
in production, looks at the filters, copies the calendars, and writes down every problem. Asks nobody, changes nothing
of the running service; run it every night. `forecast` tells what the day will have to carry.
"""
PROBLEMS_DOC = """
**Days before.** Asks, for every mailbox with open problems, the person who decides. Answer under *Required Actions*.
"""
FREEZE_DOC = """
**06:00.** Stops IMAP and mail reception on new, sends the mail to new in the directory and on the MX (where it waits),
stops the proxy, IMAP and the backup on old, and opens IMAP on old for the copy alone.
"""
TRANSFER_DOC = """
**06:40.** Carries what changed since the last pass, mailbox by mailbox, and verifies it. A mailbox with a problem asks
a person under *Required Actions*. To run one mailbox again, clear its `mailbox.sync`: no other is touched.
"""
CUTOVER_DOC = """
**12:57.** Waits until no problem is open, asks for the go, then moves the addresses, redirects the webmail, lets the
queued mail flow and runs the functional tests.
"""
DRAIN_DOC = """
**13:30.** Waits until the MX's queue is empty, accounts for every message that was accepted since the freeze, reports.
"""
ROLLBACK_DOC = """
**The way back**, at any point of the day or after it. Takes the new server out of production if a go was given, carries
the mail that reached it since then to the old server, then undoes every change in reverse order, as the journal has
them, and sends the mail that waits at the MX to the old server again. Copied mail stays on new. Filters, calendars,
flags and removals that users changed on new since the go are not carried back.
"""
MIGRATE_DOC = """
**The day.** Runs freeze, transfer, cutover and drain, and waits for each. When a task of a phase fails: mend it, clear
it *in the phase's own run*, then clear the phase's task here; it goes on with that same run.
"""


def phase_params() -> dict[str, Param]:
    """`dry_run` and `accounts`, typed and explained."""
    return {
        "dry_run": Param(
            False,
            type="boolean",
            title="Dry run",
            description="Look at everything, change nothing; the log says what would change.",
        ),
        "accounts": Param(
            "all",
            type="string",
            minLength=1,
            title="Accounts",
            description="`all`, names with commas between them, or an LDAP filter in parentheses, such as (ou=optics).",
        ),
    }
