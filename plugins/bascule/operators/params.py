"""What all phases share: the parameters of the trigger form, how often a task is tried, the pages' words."""

from datetime import timedelta
from typing import Any

from airflow.sdk import Param

from bascule.operators.base import LOST, Tries

# A host that can't be reached is tried again soon; what a person must mend fails at once. `Tries` counts them.
PHASE_DEFAULTS: dict[str, Any] = {
    "retries": LOST,
    "retry_delay": timedelta(seconds=10),
    "retry_policy": Tries(),
}
ROUNDS = 2 * LOST  # of a task that asks: a busy scheduler can lose its process when it is answered within seconds
BY_ACCOUNT = "{{ task.account }}"
NAMED: dict[str, Any] = {"retries": ROUNDS, "map_index_template": BY_ACCOUNT}


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


def move_settings() -> dict[str, Any]:
    """The arguments of `@dag` for `move`: its accounts are always named."""
    settings = phase_settings(MOVE_DOC)
    settings["params"] = {
        "accounts": Param(
            type="string",
            minLength=1,
            pattern=r"[^\s,]",  # a blank would be everybody
            title="Accounts",
            description="`wave:` and the name of a wave of the plan, names with commas between them, an LDAP filter in "
            "parentheses, such as (ou=optics), or `all`.",
        ),
        "to": Param("new", type="string", enum=["new", "old"], title="To", description="`new`, or back to `old`."),
        "at_once": Param(
            0,
            type="integer",
            minimum=0,
            title="At once",
            description="How many accounts may be held at the same time; 0: as many as the site file says.",
        ),
        "dry_run": settings["params"]["dry_run"],
    }
    return settings


PREPARE_DOC = """
**Days before.** Looks at everything that the day will need (`preflight`), copies every mailbox while the old server is
in production, looks at the filters, copies the calendars, and writes down every problem. Asks nobody, changes nothing
of the running service; run it every night. `forecast` tells how long the window will be, and by what.
"""
PROBLEMS_DOC = """
**Days before.** Asks, for every mailbox with open problems, the person who decides. Answer under *Required Actions*.
"""
FREEZE_DOC = """
**06:00.** Stops IMAP and mail reception on new, sends the mail to new in the directory and on the MX (where it waits),
stops the proxy, IMAP and the backup on old, and opens IMAP on old for the copy alone.
"""
TRANSFER_DOC = """
**06:40.** Looks at all mailboxes, carries what changed since the last pass, mailbox by mailbox, and verifies it. A
mailbox with a problem asks a person under *Required Actions*, and goes on with the answer. To run one mailbox again,
clear its `mailbox.sync`: no other is touched.
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
ASK_AGAIN_DOC = """
**Not to be triggered by hand.** Asks about what a first answer has left, or could not be taken of it: one run for each
question, named after the task that waits for it (`transfer.mailbox.sync`). Answer under *Required Actions*.
"""
MOVE_DOC = """
**No night.** Moves the accounts one by one to the new server while everybody works, or back (`to`): passes until one is
small, then for some seconds its mail waits at the MX and its logins at the proxy. A move that fails is undone; one that
broke off is ended by the last task, or by the next run. A wave waits for its start. When the moves are stopped (page
*Moves*), when the hours are over or some have failed, the rest is skipped: run it again, and it goes on with those.
`docs/moves.md` says what it needs.
"""
HOLDS_DOC = """
**Runs by itself.** When an account's mail has been held for longer than it may be (`moves.longest_hold` in the site
file), and nobody works on its move any more, that move is undone, or finished where its last pass had ended. Airflow's
triggerer watches the ledger for it; without such a hold nothing runs. Leave it on: paused, it watches nothing.
"""
MIGRATE_DOC = """
**The day.** Runs freeze, transfer, cutover and drain, and waits for each. When a task of a phase fails: mend it, clear
it *in the phase's own run*, then clear the phase's task here; it goes on with that same run.
"""


def ask_again_params() -> dict[str, Param]:
    """What the task that asks once more says of its question."""
    return {
        "phase": Param(type="string", title="Phase", description="The DAG that asks."),
        "account": Param(type="string", minLength=1, title="Account", description="About whose problems it asks."),
        "rooms": Param(type="array", title="Rooms", description="Which problems: mailbox, account, sieve, calendar."),
    }


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
