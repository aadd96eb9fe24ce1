"""Chromium without a screen, logged in to Airflow's pages as people are."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Frame, Page, StorageState, expect, sync_playwright

from contract import server as servers
from contract.server import CHECKOUT, Server

AXE = CHECKOUT / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = CHECKOUT / ".venv" / "chromium"
SECONDS = 60
# A container has no sandbox to offer, and no other host is asked for anything.
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]

_DROP = """([target, files]) => {
    const data = new DataTransfer();
    for (const [name, text] of files) {
        data.items.add(new File([Uint8Array.from(atob(text), (one) => one.charCodeAt(0))], name));
    }
    const drop = new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: data });
    document.querySelector(target).dispatchEvent(drop);
}"""


@dataclass
class Tab:
    """A page in the browser, and what it did that nobody looks at."""

    page: Page
    server: Server
    other_hosts: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        own = urlsplit(self.server.url).netloc
        self.page.on(
            "request",
            lambda request: (
                self.other_hosts.append(request.url)
                if urlsplit(request.url).netloc != own and request.url.startswith("http")
                else None
            ),
        )
        self.page.on(
            "console",
            lambda said: (
                self.complaints.append(said.text) if "Content Security Policy" in said.text else None
            ),
        )
        # Airflow's own scripts are around ours.
        ours = (f"{self.server.url}/xtended_api/", self.server.api)
        self.page.on(
            "pageerror",
            lambda error: (
                self.complaints.append(str(error))
                if any(place in str(error.stack) for place in ours)
                else None
            ),
        )

    def log_in(self, user: str = "admin") -> None:
        """By Airflow's own form."""
        self.page.goto(f"{self.server.url}/")
        self.page.fill("input[name=username]", user)
        self.page.fill("input[name=password]", self.server.passwords[user])
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(lambda url: "/login" not in url)

    def deployments(self) -> Frame:
        """The Deployments page as Airflow shows it: in a frame of its own pages."""
        self.page.goto(f"{self.server.url}{self.server.airflow.deployments_page}")
        frame = self.page.wait_for_selector("iframe")
        assert frame is not None
        found = frame.content_frame()
        assert found is not None
        found.wait_for_selector("history-panel h2")
        return found


def drop(frame: Frame, files: Mapping[str, bytes]) -> None:
    """Drop files onto the page."""
    encoded = [[name, base64.b64encode(content).decode()] for name, content in files.items()]
    frame.evaluate(_DROP, [".drop", encoded])


def violations(page: Frame | Page) -> list[str]:
    """What axe finds inaccessible."""
    page.evaluate(AXE.read_text())
    found: dict[str, Any] = page.evaluate("() => axe.run()")
    return [f"{each['id']}: {node['html']}" for each in found["violations"] for node in each["nodes"]]


@pytest.fixture(scope="session")
def airflow_pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An Airflow of their own: its history begins with what they do."""
    server = servers.start(tmp_path_factory.mktemp("pages"), {})
    yield server
    server.close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.fail("There is no Chromium: install it, remove .venv/chromium, and call make test again.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM.resolve()), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def logged_in(chromium: Browser, airflow_pages: Server) -> StorageState:
    """What the browser keeps of a login by Airflow's own form, whose number Airflow 2 limits."""
    context = chromium.new_context()
    Tab(context.new_page(), airflow_pages).log_in()
    kept = context.storage_state()
    context.close()
    return kept


@pytest.fixture
def tab(chromium: Browser, airflow_pages: Server, logged_in: StorageState) -> Iterator[Tab]:
    """Logged in; fails where anything was asked of another host, or was not what the page's policy allows."""
    context = chromium.new_context(viewport={"width": 1300, "height": 900}, storage_state=logged_in)
    context.set_default_timeout(SECONDS * 1000)
    expect.set_options(timeout=SECONDS * 1000)
    opened = Tab(context.new_page(), airflow_pages)
    opened.page.goto(f"{airflow_pages.url}/")
    # What Airflow's own pages ask of others is not ours.
    opened.other_hosts.clear()
    opened.complaints.clear()
    yield opened
    context.close()
    assert opened.complaints == []
    assert opened.other_hosts == []
