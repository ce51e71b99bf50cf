"""A person at Airflow's web UI: Chromium, driven by playwright, logged in by the form."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lab.airflow.processes import BUSY_SECONDS, TRIES, Home, Rest
from lab.measure.screenshot import logged_in, opened_browser
from lab.paths import Instance


@dataclass
class Seen:
    """What the browser made of a page."""

    text: str = ""
    markup: str = ""
    dialogs: list[str] = field(default_factory=list)  # what a script of the page would have said


def answer(rest: Rest, instance: Instance, question: dict[str, Any], option: str, edits: Mapping[str, str]) -> Seen:
    """Open the question's page, edit these fields of its form (by key), press the button of the option."""
    ti = question["task_instance"]
    place = f"tasks/{ti['task_id']}/mapped/{ti['map_index']}/required_actions"
    with opened_browser() as browser:
        page, seen = logged_in(browser, rest.base, Home(instance).password()), Seen()
        page.on("dialog", lambda dialog: (seen.dialogs.append(dialog.message), dialog.dismiss()))
        page.goto(f"{rest.base}/dags/{ti['dag_id']}/runs/{ti['dag_run_id']}/{place}")
        for key, value in edits.items():
            page.locator(f'input[name="element_{key}"]').fill(value)
        seen.text, seen.markup = page.locator("body").inner_text(), page.content()
        for left in reversed(range(TRIES)):  # Airflow that could not serve it just now is asked again, as people do
            with page.expect_response(
                lambda answer: "hitlDetails" in answer.url and answer.request.method == "PATCH",
                timeout=2 * BUSY_SECONDS * 1000,
            ) as got:
                page.get_by_role("button", name=option).click()
            if got.value.status < 500 or not left:
                break
        assert got.value.ok, got.value.text()
        return seen
