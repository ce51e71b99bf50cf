"""A directory that takes no changes itself, or not of this attribute: real slapds, a provider and its consumers."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from bascule.changes.base import ChangeFailed
from bascule.changes.directory import Destination
from bascule.checks.preflight import directory
from bascule.checks.preflight.finding import Finding
from bascule.hosts.access import Access
from bascule.hosts.directory import accounts

from lab.facts import CTL_ADDRESS, PEOPLE_BASE
from tests.integration.changing import Changing, changing
from tests.integration.conftest import Lab
from tests.integration.slapds import ACCOUNTS, CONSUMER, PROVIDER, Slapds, people

__all__ = ["changing"]


@pytest.fixture(scope="module")
def slapds(lab: Lab) -> Iterator[Slapds]:
    own = Slapds(lab)
    with own.provider(people()):
        yield own


@contextmanager
def ear() -> Iterator[tuple[str, list[bytes]]]:
    """A place to which a referral leads, as a URL, and what was said to it."""
    heard: list[bytes] = []
    with socket.create_server((CTL_ADDRESS, 0)) as listener:

        def listen() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    heard.append(client.recv(1000))

        threading.Thread(target=listen, daemon=True).start()
        yield f"ldap://ctl.obs.test:{listener.getsockname()[1]}", heard
        listener.shutdown(socket.SHUT_RDWR)


def failures(access: Access) -> list[Finding]:
    return [finding for check in directory.CHECKS for finding in check(access) if finding.level == "failure"]


def destination(slapds: Slapds, **values: str) -> object:
    return slapds.lab.site.directory.destination.model_copy(update=values)


def test_a_replica_is_named_once_with_the_place_of_changes_and_nobody_is_asked_there(
    slapds: Slapds, changing: Changing
) -> None:
    with ear() as (url, heard), slapds.consumer(url):
        access = slapds.access(CONSUMER)
        [found] = failures(access)
        with pytest.raises(ChangeFailed) as failed:
            changing.run(lambda: Destination(access))
    assert heard == []
    for sentence in (found.sentence, str(failed.value)):
        assert sentence.count("is a replica") == 1
        assert url in sentence
        assert "`bascule_ldap`" in sentence
    assert changing.events() == ["intent", "failed"]


@pytest.mark.parametrize("updateref", ["ldap://nowhere.obs.test", f"ldap://ldap.obs.test:{PROVIDER}"])
def test_a_referral_to_nowhere_or_to_a_port_without_tls_is_told_alike(slapds: Slapds, updateref: str) -> None:
    with slapds.consumer(updateref):
        [found] = failures(slapds.access(CONSUMER))
    assert "is a replica" in found.sentence
    assert updateref in found.sentence


def test_a_part_of_the_tree_that_lies_elsewhere_is_told_and_not_asked(slapds: Slapds) -> None:
    guests = f"ou=guests,{PEOPLE_BASE}"
    with ear() as (url, heard):
        slapds.add(f"dn: {guests}\nobjectClass: referral\nobjectClass: extensibleObject\nref: {url}/{guests}\n")
        access = slapds.access(PROVIDER)
        [found] = directory.whole_tree(access)
        assert [account.name for account in accounts(access)] == list(ACCOUNTS)
        slapds.remove(guests)
        assert [finding.level for finding in directory.whole_tree(access)] == ["ok"]
    assert found.level == "warning"
    assert url in found.sentence
    assert heard == []


def test_what_a_consumer_shows_later_is_waited_for(slapds: Slapds, changing: Changing) -> None:
    with slapds.chaining_consumer(seconds=3):
        access = slapds.access(CONSUMER)
        assert failures(access) == []
        changing.round_trip(lambda: Destination(access))


def test_an_attribute_without_a_rule_of_equality_is_told_once_with_the_remedy(
    slapds: Slapds, changing: Changing
) -> None:
    access = slapds.access(PROVIDER, destination=destination(slapds, attribute="mailWay"))
    [found] = failures(access)
    with pytest.raises(ChangeFailed) as failed:
        changing.run(lambda: Destination(access))
    for sentence in (found.sentence, str(failed.value)):
        assert sentence.count("EQUALITY") == 1
        assert "caseIgnoreIA5Match" in sentence


def test_account_names_that_can_not_be_asked_for_are_told(slapds: Slapds) -> None:
    [found] = failures(slapds.access(PROVIDER, account="login"))
    assert ACCOUNTS[0] in found.sentence
    assert "EQUALITY" in found.sentence
