"""The page of the older plugins' functions, with the session of Airflow's own pages."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Locator, expect

from contract import dag_files
from contract.browser.conftest import Tab


def _form(tab: Tab, function: str) -> Locator:
    tab.page.goto(f"{tab.server.url}/rest_api/")
    return tab.page.locator(f"form[data-name={function}]")


def _called(form: Locator, function: str) -> Locator:
    """What came back."""
    form.get_by_role("button", name=f"Call {function}", exact=True).click()
    answer = form.locator("output")
    expect(answer).to_contain_text("{")
    return answer


def test_a_file_is_deployed_listed_and_deleted_again(tab: Tab, tmp_path: Path) -> None:
    file = tmp_path / "from_older_page.py"
    file.write_bytes(dag_files.dag("from_older_page"))
    form = _form(tab, "deploy_dag")
    form.locator("input[name=dag_file]").set_input_files(file)
    expect(_called(form, "deploy_dag")).to_contain_text("200")
    assert tab.server.files()["from_older_page.py"] == file.read_bytes()

    expect(_called(_form(tab, "list_dags"), "list_dags")).to_contain_text("from_older_page")

    form = _form(tab, "delete_dag")
    form.locator("input[name=dag_id]").fill("from_older_page")
    expect(_called(form, "delete_dag")).to_contain_text("200")
    assert "from_older_page.py" not in tab.server.files()


def test_what_is_refused_is_shown(tab: Tab) -> None:
    form = _form(tab, "pause")
    form.locator("input[name=dag_id]").fill("no_such_dag")
    expect(_called(form, "pause")).to_contain_text("404")
