"""`[xtended_api] legacy_urls = False` takes every address of the older plugins away, and nothing else."""

from __future__ import annotations

import httpx
import pytest

from contract import server as servers
from contract.checks import success


def test_nothing_of_the_older_urls_is_left(tmp_path_factory: pytest.TempPathFactory) -> None:
    running = servers.start(tmp_path_factory.mktemp("off"), {"AIRFLOW__XTENDED_API__LEGACY_URLS": "False"})
    try:
        login = {"username": "admin", "password": running.passwords["admin"]}
        with httpx.Client(
            base_url=running.url, auth=("admin", running.passwords["admin"]), timeout=60
        ) as client:
            for prefix in ("/rest_api", "/admin/rest_api"):
                assert not answered(client.get(f"{prefix}/"))
                assert not answered(client.get(f"{prefix}/api", params={"api": "version"}))
                assert not answered(client.post(f"{prefix}/api", params={"api": "version"}))
            assert not answered(client.post("/api/v1/security/login", json=login))
            assert "rest_api" not in client.get("/xtended_api/").text
        spec = success_of_spec(running)
        assert not [path for path in spec["paths"] if "rest_api" in path]
        success(running.client(None).post("/security/login", json=login))
    finally:
        running.close()


def answered(answer: httpx.Response) -> bool:
    """Whether it is the extension that answers: Airflow 3 shows its own page at every address that it does not know."""
    return answer.status_code not in (404, 405) and "Airflow</title>" not in answer.text


def success_of_spec(running: servers.Server) -> dict[str, dict[str, object]]:
    answer = running.client(None).get("/openapi.json")
    assert answer.status_code == 200
    return dict(answer.json())
