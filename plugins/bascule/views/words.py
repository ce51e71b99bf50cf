"""Words of the ledger as people read them, marked for the catalogues."""


def _(text: str) -> str:
    """Marks a word for the catalogues."""
    return text


# Words of the ledger as people read them.
WORDS = {
    "to come": _("to come"),
    "running": _("running"),
    "asking": _("asks a person"),
    "waiting": _("waiting"),
    "done": _("done"),
    "again": _("tried again"),
    "failed": _("failed"),
    "skipped": _("left for later"),
    "prepare": _("Prepare"),
    "problems": _("Problems"),
    "freeze": _("Freeze"),
    "transfer": _("Transfer"),
    "cutover": _("Cutover"),
    "drain": _("Drain"),
    "rollback": _("Way back"),
    "migrate": _("The day"),
    "move": _("Move"),
    "unknown": _("not begun"),
    "copying": _("being copied"),
    "verified": _("verified"),
    "kept on old": _("kept on old"),
    "broken off": _("broken off"),
    "open": _("open"),
    "decided": _("decided"),
    "settled": _("settled"),
    "withdrawn": _("gone by itself"),
    "mailbox": _("mailbox"),
    "account": _("account"),
    "sieve": _("filters"),
    "calendar": _("calendars"),
    "page": _("on the page"),
    "csv": _("in a spreadsheet"),
    "standing": _("by the site file"),
    "answers": _("by prepared answers"),
    "acts": _("acts on the infrastructure"),
    "mailboxes": _("mailboxes"),
    "filters": _("filters"),
    "calendars": _("calendars"),
    "answer at the gate": _("the answer at the gate"),
    "fact message_id": _("Message-Id"),
    "fact from": _("From"),
    "fact subject": _("Subject"),
    "fact date": _("Date"),
    "fact size": _("Size in bytes"),
    "edit name": _("New name"),
    "edit text": _("Text"),
    "edit action": _("What to do"),
    "edit do": _("What to do with both"),
    "addressbook": _("address book"),
    "counts": _("counts"),
    "attributes": _("attributes"),
    "content": _("content"),
    "intent": _("begins"),
    "unchanged": _("was so already"),
    "reverted": _("undone"),
    "decision": _("decision"),
    "phase": _("phase"),
    "started": _("begun"),
    "finished": _("finished"),
    "go": _("go given"),
    "note": _("note"),
    "gate": _("gate"),
    # How far an account of the plan is, and what was begun last of its move.
    "move moved": _("moved"),
    "move moved back": _("moved back"),
    "move being moved": _("being moved"),
    "move not moved": _("not moved, as before"),
    "move to come": _("yet to move"),
    "move state prepared": _("about to be held"),
    "move state holding": _("its mail is being held"),
    "move state quieting": _("mail on its way is waited for"),
    "move state flipping": _("it is led to the other server"),
    "move state kicking": _("its sessions are being ended"),
    "move state carrying": _("the last pass"),
    "move state releasing": _("its mail is being let go"),
    "move state proving": _("a login is being tried"),
    # Kinds of changes.
    "service": _("service"),
    "restart": _("restart"),
    "virtual_machine": _("virtual machine"),
    "firewall": _("firewall"),
    "directory": _("directory"),
    "directory_kept": _("directory, for mail that stays on old"),
    "quota": _("quota"),
    "aliases": _("aliases"),
    "address": _("address"),
    "webmail": _("webmail"),
    # Kinds of notes.
    "forecast": _("forecast"),
    "look": _("look"),
    "functional test": _("functional test"),
    "mail": _("mail"),
    "pop3": _("POP3"),
    "production": _("production"),
    "shared folders": _("shared folders"),
    "answer refused": _("refused answer"),
    "Apply the proposals": _("Apply the proposals"),
    "Leave these out": _("Leave these out"),
    "I repaired it by hand, look again": _("I repaired it by hand, look again"),
    "Keep this mailbox on the old server": _("Keep this mailbox on the old server"),
    # Why somebody is refused.
    "log in to Airflow, then load this page anew": _("log in to Airflow, then load this page anew"),
    "Airflow's rights do not let you see this": _("Airflow's rights do not let you see this"),
    "what was sent can't be read: load the page anew, or take less at once": _(
        "what was sent can't be read: load the page anew, or take less at once"
    ),
    "there is no such page": _("there is no such page"),
    "this address asks for something that no page knows": _("this address asks for something that no page knows"),
    "this form was sent from another site": _("this form was sent from another site"),
    "this form is not one of this page: load the page anew": _("this form is not one of this page: load the page anew"),
    "this form is too old, or was opened by somebody else: load the page anew": _(
        "this form is too old, or was opened by somebody else: load the page anew"
    ),
    "you may not decide: `gates.reviewers` of the site file and Airflow's rights say who may": _(
        "you may not decide: `gates.reviewers` of the site file and Airflow's rights say who may"
    ),
    "no decision was chosen": _("no decision was chosen"),
    "you may not change the plan: Airflow's rights say who may": _(
        "you may not change the plan: Airflow's rights say who may"
    ),
    "you may not stop the moves: Airflow's rights say who may": _(
        "you may not stop the moves: Airflow's rights say who may"
    ),
    "the metrics are read with a token, which stands in secrets/metrics_token": _(
        "the metrics are read with a token, which stands in secrets/metrics_token"
    ),
}
