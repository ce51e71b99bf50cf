"""The same cases with a server of another kind as source, and as destination."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from bascule.ledger import Ledger
from bascule.mailbox import Options, engine, sync_mailbox

from tests.courier_server import Courier, courier
from tests.fault_relay import Faults
from tests.mail_servers import Dovecot, dovecot, mail_directory
from tests.mailbox_cases import CASES, Case, Pair, check, prepare
from tests.mailbox_states import Account


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Courier, Dovecot]]:
    with (
        mail_directory() as home,
        courier(home / "courier") as one,
        dovecot(home / "dovecot", separator="/") as other,
    ):
        yield one, other


class FromCourier(Pair):
    def old_account(self, user: str) -> Account:
        return Account(self.old.port, user, ".", "INBOX.")


class ToCourier(Pair):
    def old_account(self, user: str) -> Account:
        return Account(self.old.port, user, "/")

    def new_account(self, user: str) -> Account:
        return Account(self.new.port, user, ".", "INBOX.")


@pytest.fixture(params=["from Courier", "to Courier"])
def pair(request: pytest.FixtureRequest, servers: tuple[Courier, Dovecot]) -> Pair:
    one, other = servers
    if request.param == "from Courier":
        return FromCourier(one, other, one.port, other.port, Faults())  # type: ignore[arg-type]
    return ToCourier(other, one, other.port, one.port, Faults())  # type: ignore[arg-type]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_state_is_as_expected(pair: Pair, tmp_path: Path, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "FIRST_PAUSE", 0.0)
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    job = prepare(pair, case, ledger, Options())
    sync_mailbox(job, ledger)
    check(pair, case, job, ledger, "with Courier")
