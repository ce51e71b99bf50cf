"""The site file as the DAG processor sees it: a wrong one is shown among the UI's import errors."""

from bascule import site


def refuse_wrong_site_file() -> None:
    """Raises SiteError with every error of the site file; a right file is passed in silence."""
    site.from_environment()
