"""The conversion rules, each a function that reads a parsed script and adds edits and findings to a report.

What each rule is for stands in include/sieve/rules.yaml under the same name.
"""

from collections.abc import Callable

from bascule.sieve.model import Report
from bascule.sieve.rules.addresses import own_redirects, retired_addresses, retired_texts
from bascule.sieve.rules.encoding import not_utf8
from bascule.sieve.rules.extensions import requires
from bascule.sieve.rules.flags import imapflags
from bascule.sieve.rules.folders import compared_names, folder_names
from bascule.sieve.rules.grammar import words_in_place
from bascule.sieve.rules.headers import header_names, stray_colons
from bascule.sieve.rules.includes import included_scripts
from bascule.sieve.rules.invisible import invisible_characters
from bascule.sieve.rules.leftovers import procmail_leftovers
from bascule.sieve.rules.notify import missing_methods, old_notify
from bascule.sieve.rules.redirects import too_many_redirects
from bascule.sieve.rules.vendor import vendor_words

Rule = Callable[[Report], None]

# `requires` is the last one: it looks at what the others have renamed and added.
RULES: tuple[Rule, ...] = (
    not_utf8,
    invisible_characters,
    stray_colons,
    words_in_place,
    header_names,
    folder_names,
    compared_names,
    imapflags,
    old_notify,
    missing_methods,
    vendor_words,
    retired_addresses,
    retired_texts,
    own_redirects,
    included_scripts,
    too_many_redirects,
    procmail_leftovers,
    requires,
)
