"""After the day: the owners of mailboxes in which something was decided have one letter in their new INBOX."""

from bascule.ledger.letters import sent
from bascule.problems import letters
from bascule.site import Site

from lab.airflow.processes import Home
from lab.corpus.store import Stores
from tests.end_to_end.conftest import Day


def test_each_owner_has_one_letter_that_names_what_was_changed(day: Day, site_file: Site) -> None:
    told = sent(day.ledger)
    assert "jmunoz" in told
    with Stores(day.instance).reader("new", "jmunoz") as client:
        client.select_folder("INBOX", readonly=True)
        found = client.search(["HEADER", "Message-ID", letters.message_id(site_file, "jmunoz")])
        assert len(found) == 1
        data = client.fetch(found, ["BODY.PEEK[TEXT]"])[found[0]][b"BODY[TEXT]"]
    import base64

    text = base64.b64decode(data).decode()
    assert "Dossiers renommés" in text and "Renamed folders" in text


def test_the_helpdesk_has_the_list(day: Day, site_file: Site) -> None:
    folder = Home(day.instance).path / "reports"
    assert "jmunoz: renamed" in (folder / f"{site_file.name}-helpdesk.txt").read_text(encoding="utf-8")
    assert (folder / f"{site_file.name}-helpdesk.csv").read_text(encoding="utf-8-sig").startswith("account,what,")
