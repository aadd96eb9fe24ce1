"""What people look at: Swagger UI, the spec, the landing page and the entry in Airflow's menu."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
import yaml

from contract.server import CHECKOUT, PREFIX, Server

# Where a page may point to without fetching anything from there.
_LINKED = re.compile(r"""(?:src|href)\s*=\s*["']([^"']+)["']|url\(\s*["']?([^"')]+)""")


def _resolved(part: Any, document: dict[str, Any]) -> Any:
    """`part` with its references to other parts of the document replaced by what they refer to."""
    if isinstance(part, list):
        return [_resolved(each, document) for each in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        found: Any = document
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return _resolved(found, document)
    return {key: _resolved(value, document) for key, value in part.items()}


@pytest.fixture
def browser(server: Server) -> httpx.Client:
    """Someone who is not logged in."""
    return httpx.Client(base_url=server.url, follow_redirects=True, timeout=60)


def test_the_served_spec_is_the_file(browser: httpx.Client) -> None:
    served = browser.get(f"{PREFIX}/openapi.json")
    assert served.status_code == 200
    assert served.headers["content-type"].startswith("application/json")
    spec = served.json()
    written = yaml.safe_load((CHECKOUT / "openapi" / "xtended.yaml").read_text())
    for document in (spec, written):
        document.pop("servers")
        document["components"].pop("securitySchemes")
    # Whether references are followed is Connexion's affair; what the document says is not.
    assert _resolved(spec, spec) == _resolved(written, written)


def test_the_served_spec_names_this_hosts_session_cookie(browser: httpx.Client, server: Server) -> None:
    spec = browser.get(f"{PREFIX}/openapi.json").json()
    assert spec["components"]["securitySchemes"]["session"]["name"] == server.airflow.session_cookie


def test_the_served_spec_leads_to_this_server(browser: httpx.Client, server: Server) -> None:
    spec = browser.get(f"{PREFIX}/openapi.json").json()
    for entry in spec["servers"]:
        base = urljoin(f"{server.url}{PREFIX}/openapi.json", entry["url"])
        assert browser.get(f"{base.rstrip('/')}/health").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        f"{PREFIX}/openapi.json",
        f"{PREFIX}/ui/",
        "/xtended_api/",
        "/xtended_api/deployments/",
        "/rest_api/",
        "/admin/rest_api/",
    ],
)
def test_a_page_is_the_same_for_everybody_compressed_or_not(browser: httpx.Client, path: str) -> None:
    got = [browser.get(path, headers={"Accept-Encoding": how}) for how in ("gzip", "gzip", "identity")]
    assert [answer.status_code for answer in got] == [200] * 3
    assert "content-encoding" not in got[2].headers
    assert got[0].content == got[1].content == got[2].content


def test_swagger_ui_takes_nothing_from_another_host(browser: httpx.Client, server: Server) -> None:
    page = browser.get(f"{PREFIX}/ui/")
    assert page.status_code == 200
    assert "swagger-ui" in page.text
    assets = {link for pair in _LINKED.findall(page.text) for link in pair if link}
    assets = {link for link in assets if not link.startswith(("data:", "#"))}
    assert any(link.endswith(".js") for link in assets)
    assert any(link.endswith(".css") for link in assets)
    for link in assets:
        absolute = urljoin(str(page.url), link)
        assert urlsplit(absolute).netloc == urlsplit(server.url).netloc, link
        asset = browser.get(absolute)
        assert asset.status_code == 200, link
        if link.endswith(".css"):
            inside = {found for pair in _LINKED.findall(asset.text) for found in pair if found}
            assert not {found for found in inside if found.startswith(("http:", "https:", "//"))}


def test_swagger_ui_is_pointed_at_the_spec_of_this_server(browser: httpx.Client) -> None:
    page = browser.get(f"{PREFIX}/ui/")
    (source,) = re.findall(r'<script[^>]+src="([^"]+)"', page.text)
    script = browser.get(urljoin(str(page.url), source)).text
    assert "../openapi.json" in script
    assert urljoin(str(page.url), "../openapi.json").endswith(f"{PREFIX}/openapi.json")


@pytest.mark.parametrize("path", ["/xtended_api/deployments/", f"{PREFIX}/ui/"])
def test_pages_take_nothing_that_is_not_theirs(browser: httpx.Client, path: str) -> None:
    page = browser.get(path)
    policy = page.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'self'"} <= set(policy)
    assert "'unsafe-inline'" not in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    for name in ("..%2fplugin.py", "%2e%2e/plugin.py", "assets/", "assets/../../plugin.py", "nothing.js"):
        answer = browser.get(f"{path}{name}")
        assert answer.status_code == 404, name
        assert b"import" not in answer.content


def test_swagger_ui_is_found_without_the_slash(browser: httpx.Client) -> None:
    assert "swagger-ui" in browser.get(f"{PREFIX}/ui").text


def test_the_landing_page_lists_every_operation(browser: httpx.Client, server: Server) -> None:
    page = browser.get("/xtended_api/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    spec = browser.get(f"{PREFIX}/openapi.json").json()
    for path, item in spec["paths"].items():
        for method in item.keys() - {"parameters"}:
            assert f"{method.upper()} {path}" in page.text
    links = {link for pair in _LINKED.findall(page.text) for link in pair if link}
    assert {urlsplit(urljoin(str(page.url), link)).netloc for link in links} == {urlsplit(server.url).netloc}
    for link in {link.partition("#")[0] for link in links}:
        assert browser.get(urljoin(str(page.url), link)).status_code == 200, link


def test_the_landing_page_is_found_without_the_slash(browser: httpx.Client) -> None:
    assert browser.get("/xtended_api").status_code == 200


def test_airflows_menu_leads_to_the_landing_page(browser: httpx.Client, server: Server) -> None:
    entries = [each for each in server.airflow.menu() if each.get("category") == "Xtended API"]
    (docs,) = [each for each in entries if each["name"] == "Reference Docs"]
    assert urlsplit(urljoin(f"{server.url}/", docs["href"])).path == "/xtended_api/"
    for entry in entries:
        assert browser.get(urljoin(f"{server.url}/", entry["href"])).status_code == 200
