"""The mailbox sync engine: `sync_mailbox` carries one mailbox from the old server to the new one."""

from bascule.mailbox.imap.errors import MailboxFailed, TransientError
from bascule.mailbox.imap.server import Server
from bascule.mailbox.job import MailboxJob, Options, job_for
from bascule.mailbox.result import PassResult
from bascule.mailbox.sync import sync_mailbox

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
