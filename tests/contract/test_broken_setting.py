"""A broken setting of the extension never stops Airflow, and says what is wrong."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from contract import server as servers
from contract.checks import problem, silent_about
from contract.server import Server


@pytest.fixture(scope="module")
def misconfigured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {
        "AIRFLOW__XTENDED_API__PARSE_TIMEOUT": "soon",
        "AIRFLOW__XTENDED_API__OUTBOUND_ALLOW": "10.0.0.0/99",
    }
    running = servers.start(tmp_path_factory.mktemp("misconfigured"), settings)
    yield running
    running.close()


def test_airflow_itself_works(misconfigured: Server) -> None:
    assert misconfigured.airflow.healthy()
    assert misconfigured.airflow.audit() is not None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/health"),
        ("GET", "/version"),
        ("POST", "/deploy_dag"),
        ("GET", "/purge_dags"),
        ("DELETE", "/delete_dag"),
        ("GET", "/openapi.json"),
        ("GET", "/ui/"),
        ("GET", "/"),
        ("GET", "/no/such/path"),
    ],
)
def test_every_path_says_which_options_are_wrong(misconfigured: Server, method: str, path: str) -> None:
    answer = misconfigured.client(None).request(method, path)
    body = problem(answer, 503, "misconfigured")
    assert "parse_timeout" in body["detail"]
    assert "outbound_allow" in body["detail"]
    silent_about(answer, str(misconfigured.home))


def test_each_web_worker_writes_one_clear_error_to_the_log(misconfigured: Server) -> None:
    lines = [line for line in misconfigured.log().splitlines() if "parse_timeout" in line]
    assert len(lines) == misconfigured.airflow.web_workers, lines
    assert "error" in lines[0].lower()
    assert "'soon'" in lines[0]


def test_the_landing_page_is_still_there(misconfigured: Server) -> None:
    assert httpx.get(f"{misconfigured.url}/xtended_api/").status_code == 200
