"""The mailbox sync engine: `sync_mailbox` carries one mailbox from the old server to the new one."""

from bascule.mailbox.endpoints import MailboxJob, Options, job_for
from bascule.mailbox.engine import sync_mailbox
from bascule.mailbox.errors import MailboxFailed, TransientError
from bascule.mailbox.server import Server
from bascule.mailbox.types import PassResult

__all__ = [
    "MailboxFailed",
    "MailboxJob",
    "Options",
    "PassResult",
    "Server",
    "TransientError",
    "job_for",
    "sync_mailbox",
]
