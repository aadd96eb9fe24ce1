"""The pages that are text, links and forms."""

from __future__ import annotations

from typing import Literal

import pytest

from contract.browser.conftest import Tab, violations


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/xtended_api/", "/rest_api/"])
def test_they_are_accessible(tab: Tab, path: str, scheme: Literal["light", "dark"]) -> None:
    tab.page.emulate_media(color_scheme=scheme)
    tab.page.goto(f"{tab.server.url}{path}")
    assert violations(tab.page) == []
