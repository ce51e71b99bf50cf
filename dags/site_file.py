"""Shows the errors of the site file among the UI's import errors; makes no DAG (Airflow reads it for these two words)."""

from bascule.operators.site_file import refuse_wrong_site_file

refuse_wrong_site_file()
