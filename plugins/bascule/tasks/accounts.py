"""The accounts that a run works on."""

from bascule.hosts import directory
from bascule.ledger import mailboxes, moves, phases
from bascule.problems import store
from bascule.tasks.run import Run
from bascule.text.logs import get_logger

log = get_logger(__name__)


def names(run: Run) -> list[str]:
    """The accounts that were asked for, by name. Raises DirectoryError."""
    return [account.name for account in directory.accounts(run.access, directory.parse_selection(run.selection))]


def list_accounts(run: Run) -> list[str]:
    """The accounts of this run: what the mapped groups are made from."""
    found = names(run)
    log.info("accounts of this run", count=len(found), asked_for=run.selection)
    return found


def list_with_problems(run: Run) -> list[str]:
    """The accounts about which a person has to be asked, or of which a decision waits to be carried out.

    The latter are left by a task that was killed, or by an Airflow that was lost: nobody is asked about them again.
    """
    waiting = {*store.accounts_with_open(run.ledger), *store.accounts_to_settle(run.ledger)}
    found = sorted(waiting.intersection(names(run)))
    log.info("accounts with open problems", count=len(found), accounts=found)
    return [] if run.dry_run else found


def list_to_carry_back(run: Run) -> list[str]:
    """The accounts whose mail may have reached new since the go: carried by passes, neither kept on old nor moved."""
    if phases.marked(run.ledger, "cutover", "go") is None:
        log.info("no go was given: no mail has reached the new server since the freeze")
        return []
    carried = {name for name, state in mailboxes.mailbox_states(run.ledger).items() if state.passes}
    carried -= store.kept_on_old(run.ledger).keys() | moves.moved(run.ledger)
    found = carried & {account.name for account in directory.accounts(run.access)}
    log.info("mail is looked for on the new server", accounts=len(found))
    if gone := sorted(carried - found):
        log.warning("no mail is looked for of accounts that the directory does not know any more", accounts=gone)
    return sorted(found)
