"""What a translation from procmail has left out stands in the script as a comment, and is told."""

import re

from bascule.sieve.model import Report
from bascule.sieve.procmail import LEFT

RULE = "procmail"
COMMENT = re.compile(rf"^{re.escape(LEFT)} (?P<line>[0-9]+), not carried over: (?P<why>.*)$", re.MULTILINE)


def procmail_leftovers(report: Report) -> None:
    """Each recipe that is not carried over, by its line in the procmailrc."""
    for found in COMMENT.finditer(report.script.text):
        message = f"the recipe in line {found['line']} of the procmailrc is not carried over: {found['why']}"
        report.ask(found.start(), RULE, message)
