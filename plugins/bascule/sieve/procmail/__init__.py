"""procmail recipes as Sieve: those that have an exact counterpart, and the rest by name."""

from bascule.sieve.procmail.rcfile import looks_like_procmail
from bascule.sieve.procmail.translation import LEFT, MADE, Left, to_sieve

__all__ = ["LEFT", "MADE", "Left", "looks_like_procmail", "to_sieve"]
