"""Swagger UI, with the session of Airflow's own pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from contract import dag_files
from contract.browser.conftest import Tab
from contract.server import PREFIX


def _opened(tab: Tab, tag: str, operation_id: str) -> Locator:
    """An operation, ready to be tried."""
    # From elsewhere: what follows the # alone is not looked at twice.
    tab.page.goto("about:blank")
    tab.page.goto(f"{tab.server.url}{PREFIX}/ui/#/{tag}/{operation_id}")
    operation = tab.page.locator(f"#operations-{tag}-{operation_id}")
    operation.get_by_role("button", name="Try it out").click()
    return operation


def _field(operation: Locator, name: str) -> Locator:
    return operation.locator(f"[data-property-name={name}], tr[data-param-name={name}]").locator(
        "input, select"
    )


def _executed(operation: Locator) -> Locator:
    """What came back."""
    operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table tbody .response").first
    expect(answer).to_be_visible()
    return answer


def test_a_get_is_tried_out(tab: Tab) -> None:
    answer = _executed(_opened(tab, "history", "list_revisions"))
    expect(answer.locator(".response-col_status")).to_contain_text("200")


def test_a_file_is_deployed_and_deleted_again(tab: Tab, tmp_path: Path) -> None:
    file = tmp_path / "tried_out.py"
    file.write_bytes(dag_files.dag("tried_out"))
    operation = _opened(tab, "deployment", "deploy_dag")
    operation.locator("input[type=file]").set_input_files(file)
    answer = _executed(operation)
    expect(answer.locator(".response-col_status")).to_contain_text("200")
    assert tab.server.files()["tried_out.py"] == file.read_bytes()

    operation = _opened(tab, "deployment", "delete_dag")
    _field(operation, "dag_id").fill("tried_out")
    answer = _executed(operation)
    expect(answer.locator(".response-col_status")).to_contain_text("200")
    assert "tried_out.py" not in tab.server.files()


def test_forms_are_filled_with_the_contracts_examples(tab: Tab) -> None:
    operation = _opened(tab, "runs", "trigger_dag")
    expect(_field(operation, "dag_id")).to_have_value("example_dag")
    # What the example does not have is not sent, rather than sent as "string".
    expect(_field(operation, "logical_date").first).to_have_value("")
    operation = _opened(tab, "deployment", "create_dag")
    code = operation.locator("[data-property-name=dag_code] textarea")
    expect(code).to_have_value(re.compile(r"def hello\(\):\n    @task\n"))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_light_or_dark_as_airflow_is(tab: Tab, theme: str) -> None:
    dark = theme == "dark"
    tab.page.evaluate(
        "([theme, dark]) => { localStorage.theme = theme; localStorage.darkTheme = dark; }",
        [theme, str(dark).lower()],
    )
    tab.page.goto(f"{tab.server.url}{PREFIX}/ui/")
    expect(tab.page.locator(".opblock-tag").first).to_be_visible()
    assert tab.page.evaluate("() => getComputedStyle(document.documentElement).colorScheme") == theme
