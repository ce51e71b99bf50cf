"""What people are told where they are: a question waits, a phase begins, ends or fails, a hold is overdue.

Each is told once by each way, whatever is run again. A notice that can't be sent stops nothing.
"""

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

from bascule.hosts import notices
from bascule.hosts.connections import Connections
from bascule.ledger import Ledger, task_log
from bascule.ledger.moves import Move
from bascule.ledger.notices import claim, give_back
from bascule.ledger.task_log import TaskState, Try
from bascule.site import NotifyPart
from bascule.text.harmless import harmless
from bascule.text.logs import get_logger
from bascule.text.reason import reason
from bascule.views import names
from bascule.views.day import PER_ACCOUNT
from bascule.views.language import Reader
from bascule.views.words import WORDS

if TYPE_CHECKING:
    from bascule.tasks.run import Run

log = get_logger(__name__)

About = Literal["questions", "phases", "failures", "holds"]
TOLD_AT = (1, 2, 5)  # of one task's questions or failures: 1, 2, 5, 10, 20, 50, 100 ...


def tell(run: "Run", about: About, what: str, title: str, text: str, address: str) -> None:
    """Tell it by every way that the site file has, unless it was told already. `what`: names it for ever."""
    if run.dry_run or about not in run.site.notify.about:
        return
    whole = "\n".join(line for line in (harmless(text), address) if line)
    for way, send in _ways(run.site.notify, run.access.connections):
        _once(run.ledger, what, way, lambda send=send: send(f"[{run.site.name}] {title}", whole))  # type: ignore[misc]


def _once(ledger: Ledger, what: str, way: str, send: Callable[[], None]) -> None:
    if not claim(ledger, what, way):
        return
    try:
        send()
        log.info("told", what=what, way=way)
    except Exception as error:  # also what Airflow answers about a connection: a task never fails of its notice
        give_back(ledger, what, way)
        log.warning("people could not be told", what=what, way=way, reason=reason(error))


def _ways(part: NotifyPart, connections: Connections) -> Iterator[tuple[str, Callable[[str, str], None]]]:
    """(its name in the ledger, what sends a title and a text)."""
    if part.mail:
        yield "mail", lambda title, text: notices.send_mail(connections.get(part.smtp), part.mail, title, text)
    for conn_id in part.chats:
        yield conn_id, lambda title, text, id=conn_id: notices.send_chat(connections.get(id), title, text)  # type: ignore[misc]


def is_worth_telling(count: int) -> bool:
    """Whether the n-th question or failure of one task is told: 1, 2, 5, 10, 20, 50, 100 ..."""
    while count >= 10 and count % 10 == 0:
        count //= 10
    return count in TOLD_AT


def outcome(run: "Run", this: Try, state: TaskState, sentence: str) -> None:
    """A task asks or has failed: thousands of one sort are not thousands of notices."""
    if state not in ("asking", "failed"):
        return
    name = this.origin.task.partition("[")[0]
    count = task_log.count(run.ledger, this.origin, name, state)
    if not is_worth_telling(count):
        return
    say = Reader.of(run.site.languages[0], run.site.timezone)
    line = names.line(this.origin.phase, name)
    called = line.names.get(say.language) or line.names["en"]
    if state == "asking":
        title = say.texts("%(n)s question waits: %(what)s", "%(n)s questions wait: %(what)s", count, what=called)
    else:
        title = say.texts("%(n)s task has failed: %(what)s", "%(n)s tasks have failed: %(what)s", count, what=called)
    about: About = "questions" if state == "asking" else "failures"
    address = address_of("problems" if state == "asking" and name in PER_ACCOUNT else "")
    tell(run, about, f"{this.origin.phase} {name} {state} {count} {this.origin.run}", title, sentence, address)


def phase(run: "Run", state: Literal["begins", "ends"]) -> None:
    """A phase begins or ends."""
    say, origin = Reader.of(run.site.languages[0], run.site.timezone), run.origin
    called = say.text(WORDS.get(origin.phase, origin.phase))
    begins, ends = say.text("%(phase)s begins", phase=called), say.text("%(phase)s is finished", phase=called)
    title = begins if state == "begins" else ends
    tell(run, "phases", f"{origin.phase} {state} {origin.run}", title, "", address_of(""))


def overdue_hold(run: "Run", left: Move, *, worked_on: bool) -> None:
    """An account's mail has been held for longer than it may be. `worked_on`: its move is not ended for it."""
    say = Reader.of(run.site.languages[0], run.site.timezone)
    title = say.text("The mail of %(account)s is held for longer than it may be", account=harmless(left.account))
    length = say.duration(left.age)
    ended = say.text("Held for %(length)s: the move is ended now.", length=length)
    still = say.text("Held for %(length)s: whoever moves it has not let go of it.", length=length)
    name = f"hold {left.id}" + " worked on" * worked_on
    tell(run, "holds", name, title, still if worked_on else ended, address_of("moves"))


def address_of(page: str) -> str:
    """Where people find a page of the control room; empty where Airflow's own address is not known."""
    base = os.environ.get("AIRFLOW__API__BASE_URL", "").rstrip("/")
    return f"{base}/bascule/{page}" if base else ""
