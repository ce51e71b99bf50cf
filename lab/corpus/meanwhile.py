"""`python -m lab meanwhile`: what people do on the days between `prepare` and the day.

A beta tester, who works on new since weeks, clears away on old a folder that she goes on using on new.
"""

import argparse
import sys

from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError

from lab.corpus.mailboxes import PREFIX, USED_ON_NEW
from lab.corpus.people import FIXED
from lab.corpus.store import StoreError, Stores
from lab.hosts import driver
from lab.paths import Instance
from lab.shell import LabError

OWN_MESSAGE = (
    "Message-ID: <plan-du-chapitre-4@obs.test>\r\nSubject: plan du chapitre 4\r\n\r\nIntroduction, résultats.\r\n"
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab meanwhile", description=__doc__)
    parser.add_argument("--instance", required=True, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    account = next(account for account, _, _, _, trouble in FIXED if trouble == "used on new")
    stores = Stores(Instance(asked.instance))
    try:
        with stores.reader("new", account) as new, stores.reader("old", account) as old:
            write_on_new(new)
            clear_away_on_old(old)
    except (LabError, StoreError, IMAPClientError, OSError) as error:
        print(f"lab: people can't work on {account}'s folders: {error}", file=sys.stderr)
        return 2
    driver.say(f"{account} has removed {USED_ON_NEW!r} on old and written into it on new")
    return 0


def write_on_new(client: IMAPClient) -> None:
    if not client.folder_exists(USED_ON_NEW):
        raise StoreError(f"new has no folder {USED_ON_NEW!r} yet: run `prepare` first")
    client.select_folder(USED_ON_NEW)
    if not client.search(["SUBJECT", "chapitre 4"]):
        client.append(USED_ON_NEW, OWN_MESSAGE.encode(), [b"\\Seen"])


def clear_away_on_old(client: IMAPClient) -> None:
    if client.folder_exists(PREFIX + USED_ON_NEW):
        client.delete_folder(PREFIX + USED_ON_NEW)


if __name__ == "__main__":
    sys.exit(main())
