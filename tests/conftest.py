"""What all tests share: an Airflow home of their own, so that nothing is written into the user's."""

import os
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]

# Set before Airflow is imported by any test.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="bascule-airflow-"))
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
os.environ["PYTHONPATH"] = f"{CHECKOUT / 'plugins'}:{CHECKOUT}"
