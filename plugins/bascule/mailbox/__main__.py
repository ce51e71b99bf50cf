"""`python -m bascule.mailbox sync|verify|survey`: the engine without Airflow."""

import sys

from bascule.mailbox.cli import main

if __name__ == "__main__":
    sys.exit(main())
