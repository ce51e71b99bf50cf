"""Shows the errors of the site file among the import errors of the UI; no DAG is made here (airflow reads it so)."""

from bascule.operators.site_file import refuse_wrong_site_file

refuse_wrong_site_file()
