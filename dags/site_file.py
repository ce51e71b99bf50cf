"""Shows the errors of the site file among the UI's import errors; makes no DAG."""

from bascule.operators.site_file import refuse_wrong_site_file

refuse_wrong_site_file()
