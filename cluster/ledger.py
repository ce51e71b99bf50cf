"""PostgreSQL's user and database for the ledger, of `init`: makes what is missing, and sets a changed password.

PostgreSQL's image runs cluster/create_ledger.sh when its volume is new, and never again: a volume of an older version
would have no ledger, and a changed secrets/ledger_password would not open it. While it opens, nothing is done.
"""

import os
import re
import subprocess
import sys

import sqlalchemy as sa
from psycopg2.extensions import encrypt_password
from sqlalchemy.pool import NullPool

SETTING = "/opt/bascule/cluster/secret.sh"
AIRFLOW_REFUSED = (
    "PostgreSQL does not let Airflow in: {why}. If secrets/postgres_password was changed, write the former password "
    "back, or give PostgreSQL the new one: docker compose exec postgres psql --username airflow --command '\\password'"
)
LEDGER_REFUSED = (
    "PostgreSQL does not open the ledger: {why}. It can't be mended from here ({because}): make the user {user} with "
    "the password in secrets/ledger_password, and a database {database} that it owns"
)


def main() -> int:
    """0: the ledger can be opened."""
    if os.environ.get("BASCULE_LEDGER"):  # one of your own, in a database that is not ours to change
        return 0
    airflow, ledger = url_of("database"), url_of("ledger")
    if why := refused(airflow):
        return say(AIRFLOW_REFUSED.format(why=why))
    if not (why := refused(ledger)):
        return 0
    try:
        make(airflow, ledger)
    except sa.exc.DBAPIError as error:
        because = words_of(error)
    else:
        because = refused(ledger)
    if because:
        return say(LEDGER_REFUSED.format(why=why, because=because, user=ledger.username, database=ledger.database))
    print(f"bascule: the ledger's user and database were made, or its password set, since PostgreSQL had said: {why}")
    return 0


def url_of(name: str) -> sa.URL:
    return sa.make_url(subprocess.run([SETTING, name], capture_output=True, text=True, check=True).stdout)


def refused(url: sa.URL) -> str:
    """Why a database can't be opened, in PostgreSQL's words; "" when it can."""
    try:
        sa.create_engine(url, poolclass=NullPool).connect().close()
    except sa.exc.DBAPIError as error:
        return words_of(error)
    return ""


def words_of(error: sa.exc.DBAPIError) -> str:
    """The first of them: whom PostgreSQL refuses over TLS, libpq then tries without, and is refused for that."""
    said = str(error.orig).strip()
    first = re.search(r"FATAL: +(.+)", said)
    return first[1] if first else said


def make(airflow: sa.URL, ledger: sa.URL) -> None:
    """As Airflow's user, who made the cluster's databases. The password goes there as what PostgreSQL keeps of it."""
    user, database = ledger.username, ledger.database
    with sa.create_engine(airflow, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as connection:

        def there(query: str, name: str | None) -> bool:
            return connection.scalar(sa.text(query), {"name": name}) is not None

        kept = encrypt_password(ledger.password, user, connection.connection.driver_connection, "scram-sha-256")
        act = "ALTER" if there("SELECT 1 FROM pg_roles WHERE rolname = :name", user) else "CREATE"
        connection.execute(sa.text(f'{act} ROLE "{user}" LOGIN PASSWORD :kept'), {"kept": kept})
        if not there("SELECT 1 FROM pg_database WHERE datname = :name", database):
            connection.execute(sa.text(f'CREATE DATABASE "{database}" OWNER "{user}"'))
            connection.execute(sa.text(f'REVOKE ALL ON DATABASE "{database}" FROM PUBLIC'))


def say(sentence: str) -> int:
    print(f"bascule: {sentence}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
