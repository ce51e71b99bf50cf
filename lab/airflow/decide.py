"""`make decide`: deciding about many problems (`python -m bascule.problems`), in the practice site's environment.

Where BASCULE_LEDGER is set, as on a production machine, nothing of the practice site is looked at.
"""

import json
import os
import sys
from pathlib import Path

from bascule.problems.__main__ import main

from lab.airflow.processes import USER, Home
from lab.paths import Instance


def practice(instance: Instance) -> dict[str, str]:
    """The environment that production has in its `.env`, for this practice site. Raises OSError when none is up."""
    home = Home(instance)
    running = json.loads((home.path / "environment.json").read_text())
    return {
        "BASCULE_LEDGER": home.ledger_url,
        "BASCULE_SITE": running["site_file"],
        "BASCULE_AIRFLOW_URL": f"http://127.0.0.1:{running['port']}",
        "BASCULE_AIRFLOW_USER": USER,
        "BASCULE_AIRFLOW_PASSWORD": home.password(),
    }


def run(words: list[str]) -> int:
    """Take `--instance NAME` away, and hand the rest on; without words the open problems are listed."""
    name = "main"
    if words[:1] == ["--instance"] and len(words) > 1:
        name, words = words[1], words[2:]
    if "BASCULE_LEDGER" not in os.environ:
        try:
            os.environ.update(practice(Instance(name)))
        except OSError as error:
            where = Path(error.filename or "").name
            print(f"decide: no practice site {name!r} is up ({where}), and BASCULE_LEDGER is not set", file=sys.stderr)
            return 1
    return main(words or ["list"])


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
