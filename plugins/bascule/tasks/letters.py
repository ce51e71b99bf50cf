"""After the day: the owners of mailboxes are told what was decided in them, and the helpdesk gets the list."""

import os
from collections.abc import Sequence
from pathlib import Path

from bascule import mailbox
from bascule.hosts.connections import AccessError
from bascule.ledger import leases
from bascule.ledger import letters as sent_letters
from bascule.problems import letters, post
from bascule.problems.letters import Outcome
from bascule.problems.table import with_mark
from bascule.tasks import accounts
from bascule.tasks.run import Run, TryAgain
from bascule.text.logs import get_logger

log = get_logger(__name__)


def tell_owners(run: Run) -> dict[str, int]:
    """One letter into the new INBOX of everybody in whose mailbox something was decided, exactly once.

    Returns {"letters": n now, "accounts": n with something to tell}. Raises TryAgain when some could not be written.
    """
    chosen = set(accounts.names(run))
    things = [each for each in letters.outcomes(run.ledger) if each.account in chosen]
    try:
        count = _write_to_all(run, things) if run.site.letters.owners else 0
    finally:
        write_helpdesk_list(run, things)
    return {"letters": count, "accounts": len({each.account for each in things})}


def _write_to_all(run: Run, things: Sequence[Outcome]) -> int:
    """Write to everybody who has not been written to; who can't be reached stops nobody else's letter."""
    by_account: dict[str, list[Outcome]] = {}
    for each in things:
        if each.sort != "kept_on_old":  # they don't read their mail on new
            by_account.setdefault(each.account, []).append(each)
    waiting = sorted(by_account.keys() - sent_letters.sent(run.ledger).keys())
    if run.dry_run:
        log.info("dry run: letters would be written", count=len(waiting), accounts=waiting)
        return 0
    failed = []
    for account in waiting:
        try:
            _deliver(run, account, by_account[account])
        except AccessError as error:
            log.error(str(error))
            failed.append(account)
    if failed:
        raise TryAgain(f"{len(failed)} letter(s) could not be written: {', '.join(failed[:20])}")
    log.info("letters written", count=len(waiting))
    return len(waiting)


def _deliver(run: Run, account: str, things: Sequence[Outcome]) -> None:
    """One letter, under the mailbox's lease. Raises AccessError and LeaseHeld."""
    new = mailbox.job_for(run.access, account).new
    message_id = letters.message_id(run.site, account)
    with leases.lease(run.ledger, account, run.owner):
        appended = post.append_once(new.endpoint, new.login, message_id, letters.letter(run.site, account, things))
        sent_letters.mark_sent(run.ledger, account, message_id)
    log.info("letter", account=account, things=len(things), outcome="written" if appended else "was there already")


def write_helpdesk_list(run: Run, things: Sequence[Outcome]) -> None:
    """The helpdesk's list, as text in the log, as text and CSV beside the reports."""
    sent = sent_letters.sent(run.ledger)
    text = letters.helpdesk_text(run.site, things, sent)
    for line in text.splitlines():
        log.info(line)
    folder = os.environ.get("BASCULE_REPORTS")
    if folder and not run.dry_run:
        base = Path(folder) / f"{run.site.name}-helpdesk"
        base.parent.mkdir(parents=True, exist_ok=True)
        base.with_suffix(".txt").write_text(text, encoding="utf-8")
        base.with_suffix(".csv").write_bytes(with_mark(letters.helpdesk_csv(things, sent)))
        log.info("the helpdesk's list lies beside the reports", files=f"{base}.txt, {base}.csv")
