"""The Deployments page, used as people use it: with files, with the keyboard, and by those who have few rights."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Frame, expect

from contract import dag_files
from contract.browser.conftest import Tab, drop, violations
from contract.checks import success
from contract.server import Server

_numbers = itertools.count(1)
# Airflow loads only files that speak of DAGs.
BROKEN = b"import os  # for an Airflow DAG\n\nimport no_such_library\n\nx = 1\n"


def _deploy(frame: Frame, name: str, content: bytes, *, replaces: bool = False) -> None:
    if replaces:
        frame.get_by_label("Replace files that exist").check()
    why = f"deployed as number {next(_numbers)}"
    frame.get_by_label("Why").fill(why)
    drop(frame, {name: content})
    frame.get_by_role("button", name="Deploy", exact=True).click()
    expect(frame.locator("deploy-panel .good")).to_contain_text("uploaded")
    expect(frame.locator(".timeline li").first).to_contain_text(why)


def test_a_file_is_dropped_mended_deployed_compared_and_rolled_back(tab: Tab) -> None:
    frame = tab.deployments()
    before = tab.server.files()
    drop(frame, {"report.py": BROKEN})
    wrong = frame.locator("deploy-panel .code")
    expect(wrong.locator(".here th")).to_have_text("3")
    expect(wrong.locator(".here td")).to_have_text("import no_such_library")
    expect(wrong.locator(".message")).to_contain_text("No module named 'no_such_library'")
    expect(frame.get_by_role("button", name="Deploy", exact=True)).to_have_count(0)
    assert tab.server.files() == before

    first = dag_files.dag("report", "first")
    drop(frame, {"report.py": first})
    expect(frame.locator("deploy-panel .good")).to_have_text("Nothing is wrong with it.")
    expect(frame.locator("deploy-panel dl")).to_contain_text("report.py")
    assert tab.server.files() == before
    frame.get_by_label("Why").fill("the monthly report")
    frame.get_by_role("button", name="Deploy", exact=True).click()
    newest = frame.locator(".timeline li").first
    expect(newest).to_contain_text("the monthly report")
    expect(newest).to_contain_text("admin")
    expect(newest).to_contain_text("+ report.py")
    assert tab.server.files()["report.py"] == first

    _deploy(frame, "report.py", dag_files.dag("report", "second"), replaces=True)
    expect(newest).to_contain_text("~ report.py")
    newest.get_by_role("button", name="Show the difference").click()
    expect(newest.locator(".diff .gone").first).to_contain_text("first")
    expect(newest.locator(".diff .come").first).to_contain_text("second")

    frame.locator(".timeline li").nth(1).get_by_role("button", name="Roll back to this").click()
    asked = frame.get_by_role("dialog")
    expect(asked).to_contain_text("the monthly report")
    expect(asked).to_contain_text("1 changed")
    expect(asked.locator(".diff")).to_be_visible()
    assert tab.server.files()["report.py"] != first
    asked.get_by_role("button", name="Roll back", exact=True).click()
    expect(newest).to_contain_text("rollback")
    assert tab.server.files()["report.py"] == first


def test_a_folder_is_deployed_with_all_that_is_in_it(tab: Tab, tmp_path: Path) -> None:
    (tmp_path / "team" / "sql").mkdir(parents=True)
    (tmp_path / "team" / "__pycache__").mkdir()
    (tmp_path / "team" / "__pycache__" / "orders.pyc").write_bytes(b"\x00")
    (tmp_path / "team" / "orders.py").write_bytes(dag_files.dag("orders"))
    (tmp_path / "team" / "sql" / "orders.sql").write_text("select 1\n")
    frame = tab.deployments()
    frame.get_by_label("Folder", exact=True).fill("sales")
    frame.locator("input[name=folder]").set_input_files(tmp_path / "team")
    expect(frame.locator("deploy-panel dl")).to_contain_text("sales/orders.py, sales/sql/orders.sql")
    frame.get_by_role("button", name="Deploy", exact=True).click()
    expect(frame.locator("deploy-panel .good")).to_have_text("2 file(s) have been deployed to [/dags/sales]")
    files = tab.server.files()
    assert {name for name in files if name.startswith("sales/")} == {
        "sales/orders.py",
        "sales/sql/orders.sql",
    }


def test_what_was_refused_is_said_in_the_servers_words(tab: Tab) -> None:
    frame = tab.deployments()
    _deploy(frame, "twice.py", dag_files.dag("twice"), replaces=True)
    frame.get_by_label("Replace files that exist").uncheck()
    drop(frame, {"twice.py": dag_files.dag("twice", "other")})
    expect(frame.locator("deploy-panel .bad")).to_contain_text("twice.py")
    # It is asked again as soon as the option says so.
    frame.get_by_label("Replace files that exist").check()
    expect(frame.locator("deploy-panel .good")).to_have_text("Nothing is wrong with it.")


def test_a_running_sync_is_shown_with_its_progress_and_can_be_cancelled(
    tab: Tab, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = {
        "id": "7d0f3b1e-31f2-4a10-9a53-3ac5a8a64a5e",
        "operation": "s3_sync",
        "state": "running",
        "user": "admin",
        "started": "2030-01-01T00:00:00.000Z",
        "finished": None,
        "stage": "fetched",
        "counts": {"listed": 400, "fetched": 100, "parsed": 0, "applied": 0},
        "result": None,
        "problem": None,
    }
    cancelled: list[str] = []

    def answer(route: Any) -> None:
        if route.request.method == "DELETE":
            cancelled.append(route.request.url)
            route.fulfill(status=202, json={**running, "state": "cancelled"})
        else:
            route.fulfill(json={"status": "success", "operations": [] if cancelled else [running]})

    tab.page.route("**/api/v1/xtended/operations**", answer)
    frame = tab.deployments()
    entry = frame.locator("syncs-panel li")
    expect(entry).to_contain_text("s3_sync by admin: fetched")
    assert entry.get_by_label("fetched").get_attribute("value") == "100"
    assert entry.get_by_label("fetched").get_attribute("max") == "400"
    entry.get_by_role("button", name="Cancel").click()
    expect(frame.locator("syncs-panel")).to_contain_text("None.")
    assert [url.rpartition("/")[2] for url in cancelled] == [running["id"]]


def test_everything_can_be_reached_and_done_with_the_keyboard(tab: Tab) -> None:
    frame = tab.deployments()
    _deploy(frame, "typed.py", dag_files.dag("typed"), replaces=True)
    _deploy(frame, "typed.py", dag_files.dag("typed", "again"), replaces=True)
    focused: Callable[[], str] = lambda: frame.evaluate(  # noqa: E731
        "() => { const at = document.activeElement; return `${at.name || ''} ${at.textContent.trim()}`; }"
    )
    keys = tab.page.keyboard
    frame.locator("input[name=files]").focus()
    seen = [focused()]
    while "Roll back to this" not in seen[-1] and len(seen) < 40:
        keys.press("Tab")
        seen.append(focused())
    for part in ("files", "folder", "path", "message", "force", "unpause", "Show the difference"):
        assert any(part in each for each in seen), (part, seen)
    keys.press("Enter")
    expect(frame.get_by_role("dialog")).to_be_visible()
    keys.press("Escape")
    expect(frame.get_by_role("dialog")).to_be_hidden()
    assert "Roll back to this" in focused()
    assert tab.server.files()["typed.py"] == dag_files.dag("typed", "again")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_accessible_in_airflows_light_and_dark(tab: Tab, theme: str) -> None:
    dark = theme == "dark"
    tab.page.evaluate(
        "([theme, dark]) => { localStorage.theme = theme; localStorage.darkTheme = dark; }",
        [theme, str(dark).lower()],
    )
    frame = tab.deployments()
    assert frame.evaluate("() => getComputedStyle(document.body).colorScheme") == theme
    _deploy(frame, "seen.py", dag_files.dag("seen"), replaces=True)
    assert violations(frame) == []
    newest = frame.locator(".timeline li").first
    _deploy(frame, "seen.py", dag_files.dag("seen", f"in_{theme}"), replaces=True)
    newest.get_by_role("button", name="Show the difference").click()
    expect(newest.locator(".diff")).to_be_visible()
    drop(frame, {"broken.py": BROKEN})
    expect(frame.locator("deploy-panel .here").first).to_be_visible()
    assert violations(frame) == []
    frame.locator(".timeline li").nth(1).get_by_role("button", name="Roll back to this").click()
    expect(frame.get_by_role("dialog")).to_be_visible()
    assert violations(frame) == []


def test_airflows_menu_leads_to_it(tab: Tab) -> None:
    for entry in (*tab.server.airflow.menu_to_entries, "Deployments"):
        tab.page.get_by_text(entry, exact=True).filter(visible=True).first.click()
    expect(tab.page.frame_locator("iframe").locator("history-panel h2")).to_be_visible()


def test_who_is_not_logged_in_is_told_so(chromium: Browser, airflow_pages: Server) -> None:
    page = chromium.new_page()
    page.goto(f"{airflow_pages.url}/xtended_api/deployments/")
    expect(page.locator("history-panel .bad")).to_contain_text("You are not logged in")
    page.context.close()


def test_the_page_shows_what_others_have_deployed(tab: Tab) -> None:
    content = dag_files.dag("by_curl")
    success(tab.server.admin.post("/deploy_dag", files={"dag_file": ("by_curl.py", content)}))
    expect(tab.deployments().locator(".timeline li").first).to_contain_text("+ by_curl.py")
