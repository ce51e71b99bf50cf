"""The ledger's tables through the versions of Bascule: an older ledger is brought up, a newer one is left alone."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from bascule.ledger import Ledger, LedgerError, base, journal, mailboxes, schema
from bascule.ledger.__main__ import main, written_down
from bascule.ledger.base import tables

DATA = Path(__file__).resolve().parent.parent / "data"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """An empty database."""
    return f"sqlite:///{tmp_path}/ledger.db"


def make_ledger_of_0_1_0(url: str, *, without: str = "") -> None:
    """As the last Bascule left it that had no revisions; without the table that it did not know yet."""
    engine = sa.create_engine(url)
    statements = (DATA / f"ledger_0_1_0.{engine.dialect.name}.sql").read_text(encoding="utf-8").splitlines()[1:]
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
        if without:
            connection.exec_driver_sql(f"DROP TABLE {without}")
    engine.dispose()


def differences(ledger: Ledger) -> list[object]:
    """What the tables lack of the models, or have beyond them."""
    with ledger.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": schema.VERSION_TABLE})
        return list(compare_metadata(context, tables()))


def set_revision(ledger: Ledger, revision: str) -> None:
    with ledger.session() as session:
        session.execute(sa.text(f"UPDATE {schema.VERSION_TABLE} SET version_num = '{revision}'"))


def test_a_new_ledger_has_the_tables_of_the_models(url: str) -> None:
    ledger = Ledger(url)

    assert differences(ledger) == []
    with ledger.engine.connect() as connection:
        assert schema.is_current(connection)


def test_the_tables_of_sqlite_are_written_down() -> None:
    assert schema.WRITTEN_DOWN.read_text(encoding="utf-8") == written_down(), (
        "write them down: python -m bascule.ledger tables > plugins/bascule/ledger/migrations/newest.sqlite.sql"
    )


def test_a_new_ledger_of_sqlite_does_not_pay_for_the_classes_of_all_models(tmp_path: Path) -> None:
    code = f"import sys; from bascule.ledger import Ledger; Ledger('sqlite:///{tmp_path / 'new.db'}'); "
    code += "sys.exit('bascule.ledger.moves' in sys.modules)"

    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_revisions_alone_make_the_tables_of_the_models(url: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        schema.bring_up(connection)
    engine.dispose()

    assert differences(Ledger(url)) == []


def test_a_new_ledger_is_brought_up_by_the_revisions_to_come(url: str) -> None:
    with Ledger(url).session() as session:
        schema.bring_up(session.connection())  # Alembic finds its own table, and nothing to do


def test_a_new_ledger_does_not_pay_for_alembic(url: str) -> None:
    code = f"import sys; from bascule.ledger import Ledger; Ledger({url!r}); sys.exit('alembic' in sys.modules)"

    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("without", ["", "letter"])
def test_a_ledger_from_before_the_revisions_is_brought_up_with_all_that_it_holds(url: str, without: str) -> None:
    make_ledger_of_0_1_0(url, without=without)

    ledger = Ledger(url)

    assert differences(ledger) == []
    assert journal.broken_link(ledger) is None
    assert [entry.note for entry in journal.entries(ledger)] == ["", "été"]
    assert mailboxes.mailbox_states(ledger)["cdaubigne"].messages == 120
    assert journal.append(ledger, journal.Entry("note", "note", "upgraded", journal.Origin("prepare"))) == 3


def test_a_ledger_of_a_newer_bascule_is_refused_and_left_alone(url: str) -> None:
    set_revision(Ledger(url), "9999")

    with pytest.raises(LedgerError, match=r"newer Bascule.*9999.*use that version"):
        Ledger(url)


def test_a_revision_that_breaks_leaves_the_ledger_as_it_was(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_ledger_of_0_1_0(url, without="letter")
    with monkeypatch.context() as patched:
        patched.setattr("alembic.op.create_index", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            Ledger(url)
    with sa.create_engine(url).connect() as connection:
        assert not sa.inspect(connection).has_table("letter")

    assert differences(Ledger(url)) == []


def test_revisions_are_numbered_in_one_line() -> None:
    line = [script.revision for script in ScriptDirectory(str(schema.MIGRATIONS)).walk_revisions()]

    assert sorted(line) == schema.REVISIONS == list(reversed(line))


def test_the_command_brings_the_ledger_up_and_says_its_revision(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_ledger_of_0_1_0(url)
    monkeypatch.delenv("BASCULE_LEDGER", raising=False)
    monkeypatch.setenv("BASCULE_LEDGER_CMD", f"echo {url}")

    assert main(["upgrade"]) == 0
    assert capsys.readouterr().out == f"ledger: revision {schema.REVISIONS[-1]}\n"


@pytest.mark.parametrize(
    ("command", "words"),
    [("", "set BASCULE_LEDGER"), ("/nowhere/secret.sh ledger", "can't be run"), ("cat /nowhere", "No such file")],
)
def test_a_ledger_that_nothing_names_is_said_spelled(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, words: str
) -> None:
    monkeypatch.delenv("BASCULE_LEDGER", raising=False)
    monkeypatch.setenv("BASCULE_LEDGER_CMD", command)

    assert main(["upgrade"]) == 1
    assert words in capsys.readouterr().err


def test_a_command_for_the_ledger_that_hangs_is_given_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("BASCULE_LEDGER", raising=False)
    monkeypatch.setenv("BASCULE_LEDGER_CMD", "sleep 60")
    monkeypatch.setattr(base, "COMMAND_SECONDS", 0.2)

    began = time.monotonic()
    assert main(["upgrade"]) == 1
    assert time.monotonic() - began < 30
    assert "BASCULE_LEDGER_CMD (sleep) has not ended within 0.2 seconds" in capsys.readouterr().err
