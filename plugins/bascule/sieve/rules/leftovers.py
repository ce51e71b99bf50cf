"""A script that was made of procmail recipes says so in its comments: nobody uses it without having compared both."""

import re

from bascule.sieve.model import Report
from bascule.sieve.procmail import LEFT, MADE

RULE = "procmail"
COMMENT = re.compile(rf"^ *+{re.escape(LEFT)} (?P<line>[0-9]+), not carried over: (?P<why>.*)$", re.MULTILINE)
USUAL_FORM = (
    "Sieve compares headers as they usually are: with one blank behind the colon, not folded, and what is encoded "
    "(RFC 2047) decoded"
)


def procmail_leftovers(report: Report) -> None:
    """That it was made so, and each recipe that is not carried over, by its line in the procmailrc."""
    text = report.script.text
    if not text.startswith(MADE):
        return
    message = f"made of procmail recipes: a person must compare both forms before it is used. {USUAL_FORM}"
    report.ask(0, RULE, message)
    for found in COMMENT.finditer(text):
        message = f"line {found['line']} of the procmailrc is not carried over: {found['why']}"
        report.ask(found.start(), RULE, message)
