"""Sieve filters as people and their programs wrote them for the old server, with its `INBOX.` names."""

import random

from lab.corpus.people import Person
from lab.facts import DOMAIN
from lab.hosts.secrets import PROBE_ACCOUNT

PROBE_HEADER = "X-Bascule-Test"
PROBE_FOLDER = "INBOX.Tests"

ROUNDCUBE = """\
require ["fileinto","copy"];
# rule:[Réunions]
if anyof (header :contains "subject" "[Réunion]", header :contains "subject" "compte rendu")
{{
\tfileinto "{meetings}";
\tstop;
}}
# rule:[liste astro]
if false # allof (header :contains "list-id" "astro-fr")
{{
\tfileinto "INBOX.À lire";
}}
# rule:[Factures]
if allof (header :contains "subject" "facture", not address :domain :is "from" "{domain}")
{{
\tfileinto :copy "INBOX.Reçus & factures";
}}
"""
VACATION = """\
require ["vacation", "fileinto"];

/* Congés d'été : répondre une fois par semaine,
   sauf aux listes. */
if not exists ["List-Id", "List-Unsubscribe"] {{
  vacation
    :days 7
    :addresses ["{address}", "{account}@{domain}"]
    :subject "Absence : {name}"
text:
Bonjour,

Je suis en congé jusqu'au 28 août. En cas d'urgence : contact@{domain}
..
À bientôt,
{name}
.
;
}}
if header :is "X-Priority" "1" {{ keep; stop; }}
if header :contains ["To", "Cc"] "astro-fr@" {{ fileinto "INBOX.À lire"; stop; }}
if header :matches "Subject" "[Réunion]*" {{ fileinto "{meetings}"; }}
"""
SIMPLE = """\
require "fileinto";
if header :contains "Subject" "[Réunion]" {{
    fileinto "{meetings}";
}} elsif size :over 20M {{
    fileinto "INBOX.Gros";
}} else {{
    keep;
}}
"""
IMAPFLAGS = """\
# Filtre écrit en 2007
require ["fileinto", "imapflags"];
if header :contains "Subject" "[Réunion]" {{
  addflag "\\\\Flagged";
  fileinto "{meetings}";
}}
"""
PROBE = f"""\
require "fileinto";
# The functional tests send messages with this header.
if exists "{PROBE_HEADER}" {{
  fileinto "{PROBE_FOLDER}";
}}
"""
NEVER_MATCHES = """\
require "fileinto";
# rule:[Factures]
if header :contains "Subject:" "facture"
{{
\tfileinto "INBOX.Reçus & factures";
}}
# rule:[Réunions]
if header :contains "subject" "[Réunion]"
{{
\tfileinto "{meetings}";
}}
"""
NO_SIEVE = """\
require "fileinto";
if header: :contains "Subject" "Congrès" {{
    fileinto "INBOX.À lire";
}}
if header :contains "Subject" "[Réunion]" {{
    fileinto "{meetings}";
}}
"""
# Files into a folder whose name the new server refuses: after the day it must file into the renamed one.
RENAMED_SUBJECT, RENAMED_FOLDER = "[Budget]", "INBOX.Budget 2019/2020"
RENAMED = f"""\
require "fileinto";
if header :contains "Subject" "{RENAMED_SUBJECT}" {{{{
    fileinto "{RENAMED_FOLDER}";
    stop;
}}}}
if header :contains "Subject" "[Réunion]" {{{{
    fileinto "{{meetings}}";
}}}}
"""
# Includes a script for everybody and one of the account's own, files by a variable, sends copies to an address of old.
INCLUDING = """\
require ["include", "fileinto", "variables", "copy"];
include :global "listes";
include "commun";
# rule:[Stages]
set "dossier" "INBOX.À lire";
if header :contains "Subject" "[Stage]"
{{
\tfileinto "${{dossier}}";
\tstop;
}}
# rule:[Double]
if header :contains "Subject" "[Double]"
{{
\tredirect :copy "direction@old.{domain}";
}}
"""
COMMON_NAME = "commun"
COMMON = """\
require "fileinto";
if header :contains "Subject" "[Personnel]" {
    fileinto "INBOX.À lire";
}
"""
DRAFT = 'require "fileinto";\nif header :contains "Subject" "à trier" { fileinto "INBOX.À lire"; }\n'


def filters(person: Person, rng: random.Random, meetings: str) -> tuple[dict[str, str], str | None]:
    """The account's scripts by name, and which one is active. `meetings` is the folder for what is about meetings."""
    text = _template(person, rng)
    if text is None:
        return {}, None
    name = rng.choice(("roundcube", "filtres", "managesieve"))
    script = text.format(
        meetings=meetings, domain=DOMAIN, name=person.name, address=person.address, account=person.account
    )
    scripts = {name: script.replace("\n", "\r\n")}
    if f'include "{COMMON_NAME}"' in script:
        scripts[COMMON_NAME] = COMMON.replace("\n", "\r\n")
    if rng.random() < 0.3:
        scripts["brouillon 2019"] = DRAFT.replace("\n", "\r\n")
    return scripts, name


def folders_named(script: str) -> list[str]:
    """The folders of the old server that a script of this page files into."""
    return [part for part in script.split('"') if part.startswith("INBOX.")]


# One of each kind for accounts that are always there; the others are drawn by lot.
OF_ACCOUNT = {
    "egarcon": SIMPLE,
    "nlefevre": IMAPFLAGS,
    "cdaubigne": VACATION,
    "accueil": INCLUDING,
    "direction": ROUNDCUBE,
}


def _template(person: Person, rng: random.Random) -> str | None:
    if person.trouble == "filter that never matches":
        return NEVER_MATCHES
    if person.trouble == "filter that is no Sieve":
        return NO_SIEVE
    if person.trouble == "folders":
        return RENAMED
    if person.account == PROBE_ACCOUNT:
        return PROBE.replace("{", "{{").replace("}", "}}")
    drawn = rng.choices((ROUNDCUBE, VACATION, SIMPLE, IMAPFLAGS, None), (35, 20, 20, 10, 15))[0]
    return OF_ACCOUNT.get(person.account, drawn)
