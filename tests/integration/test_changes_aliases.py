"""The alias map on a real Postfix: written, looked up, and never over a person's edit."""

from collections.abc import Iterator
from pathlib import Path

import ldap3
import pytest
from bascule.changes.aliases import HEADER, AliasMap
from bascule.changes.base import ChangeFailed, Outcome
from bascule.hosts.access import Access

from tests.integration.changing import Changing, changing
from tests.integration.conftest import Lab
from tests.integration.directory_entries import add, administrator, remove, set_destination

__all__ = ["changing"]
MAP = "/etc/postfix/virtual"
ACCOUNTS = ["changes-ada", "changes-bob"]


@pytest.fixture(scope="module")
def admin(lab: Lab) -> Iterator[ldap3.Connection]:
    with administrator(lab) as connection:
        remove(connection, ACCOUNTS)
        for account in ACCOUNTS:
            add(connection, account)
        yield connection
        remove(connection, ACCOUNTS)


@pytest.fixture(autouse=True)
def the_map_as_it_was(lab: Lab, admin: ldap3.Connection) -> Iterator[str]:
    before = lab.ssh("mx", "cat", MAP)
    yield before
    lab.write("mx", MAP, before)
    lab.ssh("mx", f"rm -f {MAP}.before-bascule; postmap hash:{MAP}; postfix reload")


def looked_up(lab: Lab, key: str) -> str:
    return lab.ssh("mx", f"postmap -q {key} hash:{MAP} || true").strip()


def with_aliases(lab: Lab, **update: object) -> Access:
    return lab.access(lab.site.model_copy(update={"aliases": lab.site.aliases.model_copy(update=update)}))


def test_the_map_is_made_and_put_back(access: Access, changing: Changing, lab: Lab, the_map_as_it_was: str) -> None:
    changing.round_trip(lambda: AliasMap(access))
    assert lab.ssh("mx", "cat", MAP) == the_map_as_it_was
    assert "before-bascule" not in lab.ssh("mx", "ls", "/etc/postfix")


def test_accounts_and_extra_aliases_lead_where_the_directory_and_the_site_file_say(
    access: Access, changing: Changing, lab: Lab, admin: ldap3.Connection
) -> None:
    set_destination(admin, "changes-ada", "changes-ada@new.obs.test")
    changing.run(lambda: AliasMap(access))
    assert looked_up(lab, "changes-ada@obs.test") == "changes-ada@new.obs.test"
    assert looked_up(lab, "changes-bob@obs.test") == "changes-bob@old.obs.test"
    assert looked_up(lab, "bureau@obs.test") == "accueil@obs.test, direction@obs.test"
    set_destination(admin, "changes-ada", "changes-ada@old.obs.test")


def test_a_file_that_is_not_ours_is_kept_beside(access: Access, changing: Changing, lab: Lab) -> None:
    lab.write("mx", MAP, "postmaster@obs.test somebody@obs.test\n")
    changing.run(lambda: AliasMap(access))
    assert lab.ssh("mx", "cat", f"{MAP}.before-bascule") == "postmaster@obs.test somebody@obs.test\n"


def test_a_map_that_was_not_there_is_gone_after_it_is_put_back(access: Access, changing: Changing, lab: Lab) -> None:
    lab.ssh("mx", "rm", "-f", MAP, f"{MAP}.db")
    changing.round_trip(lambda: AliasMap(access))
    assert lab.ssh("mx", f"ls {MAP} {MAP}.db 2>/dev/null || true") == ""


def test_an_edit_by_hand_is_not_overwritten(access: Access, changing: Changing, lab: Lab) -> None:
    changing.run(lambda: AliasMap(access))
    lab.ssh("mx", f"echo 'new.hire@obs.test changes-ada@old.obs.test' >> {MAP}")
    with pytest.raises(ChangeFailed, match="was edited by hand after Bascule wrote it"):
        changing.run(lambda: AliasMap(access))
    assert "new.hire@obs.test" in lab.ssh("mx", "cat", MAP)


def test_an_edit_by_hand_is_not_overwritten_by_putting_back_either(
    access: Access, changing: Changing, lab: Lab
) -> None:
    changing.run(lambda: AliasMap(access))
    lab.ssh("mx", f"echo 'new.hire@obs.test changes-ada@old.obs.test' >> {MAP}")
    with pytest.raises(ChangeFailed, match="was edited by hand"):
        changing.put_back(lambda: AliasMap(access))
    assert "new.hire@obs.test" in lab.ssh("mx", "cat", MAP)


def test_our_own_map_is_replaced_when_the_directory_changed(
    access: Access, changing: Changing, lab: Lab, admin: ldap3.Connection
) -> None:
    changing.run(lambda: AliasMap(access))
    set_destination(admin, "changes-bob", "changes-bob@new.obs.test")
    assert changing.run(lambda: AliasMap(access)).outcome == Outcome.DONE
    assert looked_up(lab, "changes-bob@obs.test") == "changes-bob@new.obs.test"
    set_destination(admin, "changes-bob", "changes-bob@old.obs.test")


def test_a_map_whose_index_is_missing_is_made_again(access: Access, changing: Changing, lab: Lab) -> None:
    changing.run(lambda: AliasMap(access))
    lab.ssh("mx", "rm", f"{MAP}.db")
    assert changing.run(lambda: AliasMap(access)).outcome == Outcome.DONE
    assert looked_up(lab, "contact@obs.test") == "accueil@obs.test"


def test_a_destination_that_would_write_another_line_is_refused(
    access: Access, changing: Changing, lab: Lab, admin: ldap3.Connection, the_map_as_it_was: str
) -> None:
    set_destination(admin, "changes-ada", "ada@new.obs.test root@obs.test")
    with pytest.raises(ChangeFailed, match=r"of changes-ada\) can't stand in an alias map"):
        changing.run(lambda: AliasMap(access))
    assert lab.ssh("mx", "cat", MAP) == the_map_as_it_was
    set_destination(admin, "changes-ada", "changes-ada@old.obs.test")


def test_a_template_that_postmap_does_not_understand_leaves_the_old_map_in_place(
    lab: Lab, changing: Changing, tmp_path: Path, the_map_as_it_was: str
) -> None:
    template = tmp_path / "broken.j2"
    template.write_text("postmaster@obs.test\n")
    access = with_aliases(lab, template=str(template))
    with pytest.raises(ChangeFailed, match="the old map is still in place"):
        changing.run(lambda: AliasMap(access))
    assert lab.ssh("mx", "cat", MAP) == the_map_as_it_was
    assert "draft" not in lab.ssh("mx", "ls", "/etc/postfix")
    access.close()


def test_a_map_that_postfix_does_not_use_is_an_error(lab: Lab, changing: Changing) -> None:
    access = with_aliases(lab, path="/etc/postfix/virtual-of-bascule")
    with pytest.raises(ChangeFailed, match=r"does not use the table hash:/etc/postfix/virtual-of-bascule"):
        changing.run(lambda: AliasMap(access))
    changing.put_back(lambda: AliasMap(access))
    assert "of-bascule" not in lab.ssh("mx", "ls", "/etc/postfix")
    access.close()


def test_the_files_first_line_says_whose_it_is(access: Access, changing: Changing, lab: Lab) -> None:
    changing.run(lambda: AliasMap(access))
    assert lab.ssh("mx", "cat", MAP).startswith(HEADER)
