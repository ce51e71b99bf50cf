"""The accounts that a run works on."""

import re
from datetime import datetime

from bascule.hosts import directory
from bascule.ledger import mailboxes, moves, phases, waves
from bascule.problems import store
from bascule.tasks.run import NeedsPerson, Run
from bascule.text.logs import get_logger

log = get_logger(__name__)


WAVE = "wave:"  # before its name, where accounts are asked for


def names(run: Run) -> list[str]:
    """The accounts that were asked for, by name. Raises DirectoryError.

    Raises NeedsPerson for an unknown name or wave and a filter that is none: no other try knows better.
    """
    wave = _wave(run)
    selection = directory.parse_selection(run.selection) if wave is None else [each.account for each in wave]
    try:
        return [account.name for account in directory.accounts(run.access, selection)]
    except directory.SelectionRefused as error:
        raise NeedsPerson(str(error)) from None


def is_blank(run: Run) -> bool:
    """Whether there is no word in it. `names` takes that for everybody, as the forms of the phases do."""
    return not re.search(r"[^\s,]", run.selection)


def are_named(run: Run) -> bool:
    """Whether each account was asked for by its name, and not by a wave, a filter, or `all`."""
    return _wave(run) is None and not isinstance(directory.parse_selection(run.selection), str)


def start_of_wave(run: Run) -> datetime | None:
    """When the wave starts that was asked for (UTC); None where no wave was. Raises NeedsPerson."""
    wave = _wave(run)
    return wave[0].starts_at if wave else None


def _wave(run: Run) -> list[waves.Planned] | None:
    text = run.selection.strip()
    if not text.startswith(WAVE):
        return None
    name = text.removeprefix(WAVE).strip()
    found = waves.plan(run.ledger, name) if name else []
    if not found:
        there = sorted({each.wave for each in waves.plan(run.ledger) if each.wave})
        raise NeedsPerson(f"the plan has no wave {name!r}; it has {', '.join(there) or 'none at all'}")
    return found


def list_accounts(run: Run) -> list[str]:
    """The accounts of this run: what the mapped groups are made from."""
    found = names(run)
    log.info("accounts of this run", count=len(found), asked_for=run.selection)
    gone = moves.moved(run.ledger).difference(found)
    if gone and directory.parse_selection(run.selection) == "all":
        log.warning(
            "these have moved to new, and the directory knows them no more: one that was renamed since counts as "
            "somebody who has not moved, and its mailbox on old is copied again", accounts=sorted(gone),
        )  # fmt: skip
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
