"""Access rights and annotations as one kind of thing: asked of a server, told to it, compared, named in problems."""

from typing import Protocol

from bascule.ledger.carried import What
from bascule.mailbox.attributes.acl import People, Rights
from bascule.mailbox.attributes.metadata import Annotations
from bascule.mailbox.attributes.three_way import Value, Values
from bascule.mailbox.imap.capabilities import Capability
from bascule.mailbox.imap.session import Pending, Session
from bascule.mailbox.job import MailboxJob

CALLED = {"acl": "access rights (ACL, RFC 4314)", "metadata": "annotations (METADATA, RFC 5464)"}


class Kind(Protocol):
    """Rights or annotations: how a server is asked for them and told them."""

    what: What
    capability: Capability

    def begin(self, session: Session, name: bytes) -> Pending: ...
    def values(self, session: Session, pending: Pending, *, is_old: bool) -> dict[str, Value]: ...
    def fit(self, wanted: Value, session: Session) -> Value: ...
    def begin_put(self, session: Session, name: bytes, entry: str, wanted: Value) -> Pending: ...
    def begin_remove(self, session: Session, name: bytes, entry: str) -> Pending: ...
    def unite(self, old: Value, new: Value) -> Value: ...


def kinds_of(job: MailboxJob) -> list[Kind]:
    """What the site file asks for."""
    asked: list[Kind] = []
    if job.options.acl:
        asked.append(Rights(people_of(job)))
    if job.options.metadata:
        asked.append(Annotations())
    return asked


def people_of(job: MailboxJob) -> People:
    owners = {job.account, job.old.login.authorize_as or job.account, f"{job.account}@{job.options.domain}"}
    return People(frozenset(owners), job.options.identifiers, job.options.domain)


def missing_on(kind: Kind, old: Session, new: Session) -> str:
    """Which server can't be asked, as a sentence; empty when both can."""
    lacking = [side for side, session in (("old", old), ("new", new)) if not session.has(kind.capability)]
    if not lacking:
        return ""
    who = "neither server has them" if len(lacking) == 2 else f"the {lacking[0]} server does not have them"
    return f"{CALLED[kind.what]} are not carried: {who}"


def fitted(kind: Kind, values: Values, new: Session) -> dict[str, Value]:
    """Old's values as new can have them; what new knows nothing of is not among them."""
    found = {name: kind.fit(value, new) for name, value in values.items()}
    return {name: value for name, value in found.items() if value.token}
