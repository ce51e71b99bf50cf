"""Which preferences many users have set, by one `sogo-tool backup`: a process for each user and key costs far more.

A backup holds people's secrets and all their events: it stays in a directory that only SOGo's user and root can enter,
and only its beginning, with the preferences, comes from the host. A killed script's directory is removed by the next
one: nobody holds its lock.
"""

import re
import secrets
from collections.abc import Iterator, Sequence

from bascule.hosts.ssh import RemoteHost

AT_ONCE = 10  # accounts in one backup, whose calendars lie on the host's disk together
LONGEST = 1_000_000  # bytes of one account's preferences; more is not read
LONGEST_BACKUP = 300.0  # seconds: who is not in it by then is asked for alone
SECONDS = 600.0  # longer than that, by what comes before and after it

# Words that `sogo-tool` and the shell take for nothing else than an account's name and a file's.
_plain = re.compile(r"(?!ALL$)[A-Za-z0-9_][A-Za-z0-9_.@+-]*")
_token = re.compile(r'\s*(?:([{}()=;,])|"([^"\\]*(?:\\.[^"\\]*)*)"|<[^<>"]*>|([^\s{}()=;,"<>]+))', re.S)

# Its words: a marker, the longest time, and the accounts. Preferences stand before the folders (`tables`). A directory
# of the last minutes may be one that is not locked yet.
_COMMANDS = f"""\
marker=$1 longest=$2; shift 2
find "${{TMPDIR:-/tmp}}" -maxdepth 1 -type d -name 'bascule-sogo-????????' -user "$(id -u)" -mmin +1 \\
  -exec flock --nonblock {{}} rm -rf -- {{}} \\;
folder=$(mktemp -d -t bascule-sogo-XXXXXXXX) || exit 1
trap 'rm -rf -- "$folder"' EXIT
trap 'exit 1' HUP INT PIPE TERM
exec 9< "$folder" && flock 9
timeout --kill-after=10 "$longest" sogo-tool backup "$folder" "$@" > "$folder/.said" 2>&1
for account; do
  if [ -f "$folder/$account" ]; then
    printf '%s %s\\n' "$marker" "$account"
    sed '/^    tables = {{$/q' "$folder/$account" | head -c {LONGEST}
  fi
done
exit 0
"""


def keys_set(remote: RemoteHost, names: Sequence[str]) -> dict[str, frozenset[str]]:
    """Account -> keys of the preferences that it has set, as far as one backup tells. Raises AccessError.

    An account is not in it when SOGo doesn't know it, or when its name or its preferences are out of the ordinary:
    then nothing is known of it.
    """
    plain = [name for name in names if _plain.fullmatch(name)]
    if not plain:
        return {}
    marker = secrets.token_hex(16)
    command = ["runuser", "-u", "sogo", "--", "env", "LC_ALL=C", "sh", "-c", _COMMANDS, "backup", marker]
    told = remote.run([*command, f"{LONGEST_BACKUP:g}", *plain], private=True, timeout=SECONDS).output
    found = {}
    for part in told.split(f"{marker} ")[1:]:
        account, _, text = part.partition("\n")
        keys = first_preferences(text)
        if keys is not None:
            found[account] = keys
    return found


def first_preferences(text: str) -> frozenset[str] | None:
    """The keys of what a user has set, in the beginning of his backup; None when it can't be told from that.

    `preferences` are a list of two: what the user set, and what SOGo notes for itself (not read).
    """
    depth, part, word, keys = 0, "", "", set()
    for symbol, string in _tokens(text):
        if not symbol:
            word = string
        elif symbol == "=":
            if depth == 1:
                part = word
            elif depth == 3 and part == "preferences":
                keys.add(word)
        elif symbol in "{(":
            depth += 1
        elif symbol in "})":
            depth -= 1
            if depth == 2 and part == "preferences":
                return None if any("\\" in key for key in keys) else frozenset(keys)
    return None


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """Symbols and strings of a property list as GNUstep writes it, up to what is none."""
    at = 0
    while found := _token.match(text, at):
        symbol, quoted, plain = found.groups()
        yield symbol or "", quoted if quoted is not None else plain or ""
        at = found.end()
