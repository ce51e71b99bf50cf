"""What owners of mailboxes are told, before their move and after it; their letters, and the helpdesk's list of it."""

import email.policy
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bascule.ledger import Ledger
from bascule.ledger.base import now
from bascule.problems import rules, store, table
from bascule.problems.kinds import FILE, kind_of
from bascule.problems.model import Action, Decision, Option, Problem
from bascule.problems.questions import name
from bascule.site import Site
from bascule.text.harmless import harmless

TEMPLATES = FILE.parent / "templates"
WORDS = 300  # characters of one name in a letter


@dataclass(frozen=True)
class Outcome:
    """What became of one thing. `sort`: renamed, repaired, left_out, otherwise or kept_on_old."""

    account: str
    sort: str
    kind: str  # its name for people
    subject: str
    value: str  # the new name of a renamed folder, the server's words or the explanation else
    decided_by: str
    reasons: Mapping[str, str] = field(default_factory=dict)  # why, in the owner's words, by language


def outcomes(ledger: Ledger) -> list[Outcome]:
    """Everything that was decided and settled, by account; what is kept on old is told once for each mailbox."""
    kept = store.kept_on_old(ledger)
    found = [
        Outcome(account, "kept_on_old", "Mailbox kept on the old server", account, "", by.decided_by)
        for account, by in kept.items()
    ]
    for problem, decision in store.all_decisions(ledger):
        if problem.state != "settled" or not kind_of(problem).owner:
            continue
        if problem.account not in kept and decision.option is not Option.LOOK_AGAIN:
            found.append(_outcome(problem, decision))
    return sorted(found, key=lambda each: each.account)


def _outcome(problem: Problem, decision: Decision) -> Outcome:
    kind = kind_of(problem)
    sort, value = "otherwise", problem.explanation
    if rules.leaves_out(decision) and kind.leave_out != "as it is":
        sort, value = "left_out", problem.server_words or problem.explanation
    elif new_name := rules.new_name_of(problem, decision):
        sort, value = "renamed", new_name
    elif rules.applies(decision, Action.REPAIR):
        sort = "repaired"
    return Outcome(problem.account, sort, kind.name, _subject(problem), _line(value), decision.decided_by, kind.owner)


def _subject(problem: Problem) -> str:
    """How the owner knows the thing: a message by its own subject, sender and date."""
    facts = problem.facts
    if problem.kind.startswith("message-"):
        words = [str(facts.get(key) or "") for key in ("subject", "from", "sent", "folder", "message_id")]
        return _line(" | ".join(word for word in words if word))
    return _line(name(problem))


def _line(text: str) -> str:
    shown = harmless(text)
    return shown if len(shown) <= WORDS else f"{shown[:WORDS]}…"


def message_id(site: Site, account: str) -> str:
    """The letter's Message-Id, the same however often it is made."""
    mark = hashlib.sha256(f"{site.name}/{account}".encode()).hexdigest()[:32]
    return f"<bascule-letter-{mark}@{site.domain}>"


def letter(site: Site, account: str, things: Sequence[Outcome]) -> bytes:
    """The letter in the site's languages, ready to be appended."""
    texts = [_render(f"letter.{language}.txt.j2", site, account, things) for language in site.languages]
    return _message(site, account, message_id(site, account), texts)


def announcement(site: Site, account: str, identity: str, when: Mapping[str, str]) -> bytes:
    """The letter before a move, under this Message-Id; `when` it begins, in each language."""
    texts = [
        _render(f"announcement.{language}.txt.j2", site, account, (), when=when[language])
        for language in site.languages
    ]
    return _message(site, account, identity, texts)


def _message(site: Site, account: str, identity: str, texts: Sequence[str]) -> bytes:
    """One letter from texts whose first line is the subject."""
    made = EmailMessage(policy=email.policy.SMTP)
    made["From"] = site.postmaster
    made["To"] = f"{account}@{site.domain}"
    made["Subject"] = " / ".join(text.partition("\n")[0] for text in texts)
    made["Date"] = format_datetime(now(), usegmt=False)
    made["Message-ID"] = identity
    made["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation filter answers
    made.set_content("\n\n----\n\n".join(text.partition("\n")[2].strip() for text in texts) + "\n", cte="base64")
    return made.as_bytes()


def helpdesk_text(site: Site, things: Sequence[Outcome], sent: Collection[str]) -> str:
    """The list for the helpdesk, to be read."""
    return _render("helpdesk.txt.j2", site, "", things, sent=sent)


def helpdesk_csv(things: Sequence[Outcome], sent: Collection[str]) -> str:
    """The same as a table for a spreadsheet."""
    rows = [
        [each.account, each.sort, each.kind, each.subject, each.value, each.decided_by, _yes(each.account in sent)]
        for each in things
    ]
    return table.as_csv(["account", "what", "kind", "name", "new name or reason", "decided by", "told"], rows)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _render(name: str, site: Site, account: str, things: Sequence[Outcome], **more: object) -> str:
    # Plain text: nothing to escape but control characters, which `_line` has made visible.
    environment = Environment(  # noqa: S701
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    by_sort = {sort: [each for each in things if each.sort == sort] for sort in SORTS}
    return environment.get_template(name).render(site=site, account=account, things=things, **by_sort, **more)


SORTS = ("renamed", "repaired", "left_out", "otherwise", "kept_on_old")
