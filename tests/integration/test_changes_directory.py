"""The destination of accounts in a real slapd: all of them, with entries that are in the way, and people beside us."""

import time
from collections.abc import Iterator

import ldap3
import pytest
from bascule.changes import ldif
from bascule.changes.base import ChangeFailed, Outcome
from bascule.changes.directory import Destination
from bascule.hosts.access import Access
from bascule.ledger import journal

from tests.integration.changing import Changing, changing
from tests.integration.conftest import Lab
from tests.integration.directory_entries import add, administrator, destination_of, dn_of, remove, set_destination

__all__ = ["changing"]
ACCOUNTS = ["changes-ada", "changes-bob", "changes-cleo"]
OURS = "(uid=changes-*)"
MANY = 510  # more than one page of the search


def move(access: Access) -> Destination:
    return Destination(access, OURS)


@pytest.fixture(scope="module")
def admin(lab: Lab) -> Iterator[ldap3.Connection]:
    with administrator(lab) as connection:
        yield connection


@pytest.fixture(autouse=True)
def entries(admin: ldap3.Connection) -> Iterator[None]:
    remove(admin, ACCOUNTS)
    for account in ACCOUNTS:
        add(admin, account)
    yield
    remove(admin, ACCOUNTS)


def test_the_accounts_are_moved_and_put_back(access: Access, changing: Changing) -> None:
    before, after = changing.round_trip(lambda: move(access))
    assert ldif.load(before["ldif"])[dn_of("changes-ada")] == ["changes-ada@old.obs.test"]
    assert ldif.load(after["ldif"])[dn_of("changes-ada")] == ["changes-ada@new.obs.test"]


def test_a_list_of_accounts_moves_these_only(access: Access, changing: Changing, admin: ldap3.Connection) -> None:
    make = lambda: Destination(access, ["changes-bob"])  # noqa: E731
    changing.round_trip(make)
    changing.run(make)
    assert destination_of(admin, "changes-bob") == "changes-bob@new.obs.test"
    assert destination_of(admin, "changes-ada") == "changes-ada@old.obs.test"


def test_an_account_that_is_at_the_new_value_is_left_and_stays_there(
    access: Access, changing: Changing, admin: ldap3.Connection
) -> None:
    set_destination(admin, "changes-ada", "changes-ada@new.obs.test")
    changing.round_trip(lambda: move(access))
    assert destination_of(admin, "changes-ada") == "changes-ada@new.obs.test"


def test_one_bad_entry_is_named_by_its_dn_and_does_not_stop_the_others(
    access: Access, changing: Changing, admin: ldap3.Connection
) -> None:
    set_destination(admin, "changes-bob", "bob@elsewhere.test")
    with pytest.raises(ChangeFailed, match=rf"{dn_of('changes-bob')}: .*bob@elsewhere\.test"):
        changing.run(lambda: move(access))
    assert destination_of(admin, "changes-ada") == "changes-ada@new.obs.test"
    assert destination_of(admin, "changes-cleo") == "changes-cleo@new.obs.test"
    assert destination_of(admin, "changes-bob") == "bob@elsewhere.test"
    assert changing.events() == ["intent", "failed"]


def test_after_the_bad_entry_is_mended_all_can_be_put_back(
    access: Access, changing: Changing, admin: ldap3.Connection
) -> None:
    set_destination(admin, "changes-bob", "bob@elsewhere.test")
    with pytest.raises(ChangeFailed):
        changing.run(lambda: move(access))
    set_destination(admin, "changes-bob", "changes-bob@old.obs.test")
    assert changing.run(lambda: move(access)).outcome == Outcome.DONE
    changing.put_back(lambda: move(access))
    assert [destination_of(admin, account) for account in ACCOUNTS] == [f"{a}@old.obs.test" for a in ACCOUNTS]


def test_an_entry_that_somebody_changes_between_our_look_and_our_change_is_not_overwritten(
    access: Access, admin: ldap3.Connection
) -> None:
    change = move(access)
    change.observe()
    set_destination(admin, "changes-bob", "bob@elsewhere.test")
    with pytest.raises(ChangeFailed, match=r"changes-bob.*somebody changed it in between.*bob@elsewhere\.test"):
        change.apply()
    assert destination_of(admin, "changes-bob") == "bob@elsewhere.test"
    assert destination_of(admin, "changes-cleo") == "changes-cleo@new.obs.test"


def test_an_entry_that_somebody_moves_in_between_as_we_would_is_no_failure(
    access: Access, admin: ldap3.Connection
) -> None:
    change = move(access)
    change.observe()
    set_destination(admin, "changes-bob", "changes-bob@new.obs.test")
    change.apply()
    change.verify()


def test_an_entry_that_somebody_changed_since_is_not_put_back_and_is_named(
    access: Access, changing: Changing, admin: ldap3.Connection
) -> None:
    changing.run(lambda: move(access))
    set_destination(admin, "changes-bob", "bob@elsewhere.test")
    with pytest.raises(ChangeFailed, match=r"changes-bob.*somebody changed it since"):
        changing.put_back(lambda: move(access))
    assert destination_of(admin, "changes-bob") == "bob@elsewhere.test"
    assert destination_of(admin, "changes-ada") == "changes-ada@old.obs.test"


def test_the_other_values_of_an_attribute_with_several_stay(
    lab: Lab, changing: Changing, admin: ldap3.Connection
) -> None:
    destination = lab.site.directory.destination.model_copy(
        update={"attribute": "description", "before": "{{ account }}@old.test", "after": "{{ account }}@new.test"}
    )
    directory = lab.site.directory.model_copy(update={"destination": destination, "connection": "admin_ldap"})
    environ = {**lab.environ, "AIRFLOW_CONN_ADMIN_LDAP": _as_administrator(lab)}
    access = lab.access(lab.site.model_copy(update={"directory": directory}), environ)
    for account in ACCOUNTS:
        values = [f"{account}@old.test", "prénom: Élise"]
        assert admin.modify(dn_of(account), {"description": [(ldap3.MODIFY_ADD, values)]})
    before, after = changing.round_trip(lambda: move(access))
    ada = dn_of("changes-ada")
    assert ldif.load(before["ldif"])[ada] == ["changes-ada@old.test", "prénom: Élise"]
    assert ldif.load(after["ldif"])[ada] == ["changes-ada@new.test", "prénom: Élise"]


def test_a_login_that_may_not_write_fails_entry_by_entry(lab: Lab, changing: Changing) -> None:
    import json

    reader = json.loads(lab.environ["AIRFLOW_CONN_BASCULE_LDAP"])
    from lab.hosts.secrets import LDAP_READER_DN

    reader |= {"login": LDAP_READER_DN, "password": lab.secrets.ldap_reader}
    access = lab.access(environ={**lab.environ, "AIRFLOW_CONN_BASCULE_LDAP": json.dumps(reader)})
    with pytest.raises(ChangeFailed, match=r"in 3 entries(?s:.*)changes-cleo.*the directory refused it"):
        changing.run(lambda: move(access))


def test_a_selection_that_finds_nobody_is_an_error(access: Access, changing: Changing) -> None:
    with pytest.raises(ChangeFailed, match="no entry is found"):
        changing.run(lambda: Destination(access, "(uid=changes-nobody)"))


def test_many_accounts_take_seconds_and_few_bytes(access: Access, changing: Changing, admin: ldap3.Connection) -> None:
    accounts = [f"changes-many-{number}" for number in range(MANY)]
    for account in accounts:
        add(admin, account)
    make = lambda: Destination(access, "(uid=changes-many-*)")  # noqa: E731
    try:
        began = time.monotonic()
        changing.run(make)
        seconds = time.monotonic() - began
        rows = list(journal.export(changing.ledger))
        changing.put_back(make)
        assert destination_of(admin, accounts[-1]) == f"{accounts[-1]}@old.obs.test"
    finally:
        remove(admin, accounts)
    size = sum(len(row.encode()) for row in rows)
    print(f"{MANY} accounts: {seconds:.1f} s, {size} bytes of journal")
    assert seconds < 60
    assert size < MANY * 1000


def _as_administrator(lab: Lab) -> str:
    import json

    from lab.hosts.secrets import LDAP_ADMIN_DN

    known = json.loads(lab.environ["AIRFLOW_CONN_BASCULE_LDAP"])
    return json.dumps(known | {"login": LDAP_ADMIN_DN, "password": lab.secrets.ldap_admin})
