"""Owners of mailboxes are told when theirs moves, and afterwards what was decided in it; the helpdesk gets the list."""

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from bascule import mailbox
from bascule.hosts.connections import AccessError
from bascule.hosts.directory import DirectoryError
from bascule.ledger import Ledger, leases, moves, notices, waves
from bascule.ledger import letters as sent_letters
from bascule.ledger.base import now
from bascule.ledger.leases import LeaseHeld
from bascule.problems import letters, post, store
from bascule.problems.letters import Outcome
from bascule.problems.table import with_mark
from bascule.tasks import accounts, behind
from bascule.tasks.run import NeedsPerson, Run, TryAgain
from bascule.text.logs import get_logger
from bascule.views.language import Reader

log = get_logger(__name__)

BEFORE = "letter before a move"  # the way by which people are told, in the ledger
START = "%Y-%m-%d %H:%M"


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


def tell_moved(run: Run) -> dict[str, int]:
    """The same letter for those of this run who are on new now. Returns {"letters": n now}. Raises TryAgain."""
    chosen = moves.moved(run.ledger) & (behind.ended_in(run) | _asked_for(run))
    things = [each for each in letters.outcomes(run.ledger) if each.account in chosen]
    return {"letters": _write_to_all(run, things) if run.site.letters.owners else 0}


def _asked_for(run: Run) -> set[str]:
    """Also who had moved before this run. Empty where the plan or the directory has changed since it began."""
    try:
        return set(accounts.names(run))
    except (NeedsPerson, DirectoryError) as error:
        log.warning("only those whose moves ended in this run are written to", reason=str(error))
        return set()


def tell_before_moves(run: Run) -> dict[str, int]:
    """One letter into the old INBOX of everybody whose wave starts within the site file's days, and not when told last.

    Who can't be written to now is tried again the next time. Returns {"letters": n now, "not written": n}.
    """
    days = run.site.letters.days_before_move
    staying = moves.moved(run.ledger) | store.kept_on_old(run.ledger).keys()
    told, chosen = starts_told(run.ledger), set(accounts.names(run)) if days else set()
    soon = [
        each
        for each in waves.plan(run.ledger)
        if each.starts_at and now() < each.starts_at <= now() + timedelta(days=days)
        and each.account in chosen - staying and told.get(each.account) != _to_the_minute(each.starts_at)
    ]  # fmt: skip
    if run.dry_run:
        log.info("dry run: these would be told when they move", accounts=[each.account for each in soon])
        return {"letters": 0, "not written": 0}
    failed = 0
    for planned in soon:
        try:
            _announce(run, planned)
        except (AccessError, LeaseHeld) as error:
            log.error(str(error), account=planned.account)
            failed += 1
    log.info("people were told when they move", letters=len(soon) - failed, not_written=failed)
    return {"letters": len(soon) - failed, "not written": failed}


def _announce(run: Run, planned: waves.Planned) -> None:
    """It is noted afterwards: what is there already is not written again, nor what somebody else has noted meanwhile.

    Raises AccessError and LeaseHeld.
    """
    old, site = mailbox.job_for(run.access, planned.account).old, run.site
    readers = {language: Reader.of(language, site.timezone) for language in site.languages}
    when: dict[str, str] = {
        language: reader.moment(planned.starts_at, seconds=False) for language, reader in readers.items()
    }
    with leases.lease(run.ledger, planned.account, run.owner):
        what = _next_letter(run.ledger, planned)
        if not what:
            return
        identity = letters.message_id(site, what)
        letter = letters.announcement(site, planned.account, identity, when)
        post.append_once(old.endpoint, old.login, identity, letter)
        notices.claim(run.ledger, what, BEFORE)
    log.info("told when its mailbox moves", account=planned.account, starts=str(planned.starts_at))


def starts_told(ledger: Ledger) -> dict[str, datetime]:
    """The start that each account was told last (UTC, to the minute)."""
    found = dict[str, datetime]()
    for what in notices.told(ledger, BEFORE):
        account, day, minute = what.split(" ")[:3]
        found[account] = datetime.strptime(f"{day} {minute}", START)
    return found


def slot(planned: waves.Planned) -> str:
    """By what the first letter about this start is known."""
    return f"{planned.account} {planned.starts_at:{START}}"


def _next_letter(ledger: Ledger, planned: waves.Planned) -> str:
    """By what it is known: with a number where its start is told again, after another one. Empty: it was told last."""
    told = notices.told(ledger, BEFORE, f"{planned.account} ")
    times = sum(what.startswith(slot(planned)) for what in told)
    if not times:
        return slot(planned)
    return "" if told[-1].startswith(slot(planned)) else f"{slot(planned)} {times + 1}"


def _to_the_minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


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
        except (AccessError, LeaseHeld) as error:
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
