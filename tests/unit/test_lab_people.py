"""The people of the practice site."""

import re
import unicodedata
from pathlib import Path
from typing import get_args

import pytest
from bascule import site
from bascule.hosts.directory import ACCOUNT_NAME

from lab.corpus.people import LISTS, MINIMUM, ROLE_ALIASES, Trouble, fold, people


def test_the_same_seed_makes_the_same_people() -> None:
    assert people(40, seed=3) == people(40, seed=3)


def test_another_seed_makes_other_people() -> None:
    assert people(40, seed=3)[MINIMUM:] != people(40, seed=4)[MINIMUM:]


def test_a_larger_site_begins_with_the_people_of_the_smaller_one() -> None:
    assert people(200)[:24] == people(24)


def test_two_thousand_accounts_have_accounts_and_addresses_of_their_own() -> None:
    everybody = people(10_000)
    assert len({person.account for person in everybody}) == len({person.address for person in everybody}) == 10_000


def test_accounts_and_addresses_are_plain_whatever_the_name() -> None:
    for person in people(2_000):
        assert ACCOUNT_NAME.match(person.account)
        assert re.fullmatch(r"[A-Za-z0-9]+([.-][A-Za-z0-9]+)*@obs\.test", person.address), person


def test_names_have_accents() -> None:
    accented = [person for person in people(24) if unicodedata.normalize("NFKD", person.name) != person.name]
    assert len(accented) >= 15


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("Éloïse", "Eloise"),
        ("d'Aubigné", "dAubigne"),
        ("Plœuc", "Ploeuc"),
        ("Ørsted", "Orsted"),
        ("Żeromski", "Zeromski"),
    ],
)
def test_folding_loses_no_letter(name: str, plain: str) -> None:
    assert fold(name) == plain


def test_every_site_has_two_beta_testers_and_all_troubles() -> None:
    smallest = people(MINIMUM)
    assert sum(person.beta for person in smallest) == 2
    assert {person.trouble for person in smallest if person.trouble} == {*get_args(Trouble)}


def test_too_few_accounts_are_refused() -> None:
    with pytest.raises(ValueError, match=f"at least {MINIMUM}"):
        people(MINIMUM - 1)


def test_aliases_lead_to_accounts_of_every_site() -> None:
    accounts = {person.account for person in people(MINIMUM)}
    assert {account for targets in ROLE_ALIASES.values() for account in targets} <= accounts


def test_the_labs_site_file_has_the_same_aliases() -> None:
    written = site.load(Path(__file__).parents[2] / "lab" / "site.yaml").aliases.extra
    roles = {address: [f"{account}@obs.test" for account in accounts] for address, accounts in ROLE_ALIASES.items()}
    assert written == roles | {address: list(members) for address, members in LISTS.items()}
