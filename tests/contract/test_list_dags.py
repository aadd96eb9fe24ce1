"""`list_dags`: the DAGs that there are, and what Airflow recorded when it parsed their files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from contract import dag_files
from contract.checks import problem, silent_about, success
from contract.server import Server

Deploy = Callable[..., httpx.Response]


def _listed(admin: httpx.Client, **query: str) -> Any:
    answer = admin.get("/list_dags", params=query)
    body = success(answer)
    assert body["message"].split() == [dag["dag_id"] for dag in body["dags"]]
    return body


def test_a_deployed_dag_is_listed_until_it_is_gone(deploy: Deploy, admin: httpx.Client, name: str) -> None:
    success(deploy(f"{name}.py", dag_files.dag(name), path="team/daily", otf_sync="y", unpause="y"))
    (mine,) = [dag for dag in _listed(admin)["dags"] if dag["dag_id"] == name]
    assert mine["file"] == f"team/daily/{name}.py"
    assert mine["paused"] is False
    assert mine["owners"] == ["airflow"]
    success(
        deploy(f"{name}.py", dag_files.dag(f"{name}_renamed"), path="team/daily", otf_sync="y", force="y")
    )
    listed = {dag["dag_id"] for dag in _listed(admin)["dags"]}
    assert name not in listed
    assert f"{name}_renamed" in listed


def test_a_file_or_folder_narrows_the_list(deploy: Deploy, admin: httpx.Client, name: str) -> None:
    success(deploy("one.py", dag_files.dag(f"{name}_1"), path=name, otf_sync="y"))
    success(deploy("two.py", dag_files.dag(f"{name}_2"), path=name, otf_sync="y"))
    success(deploy(f"{name}_3.py", dag_files.dag(f"{name}_3"), otf_sync="y"))
    for subdir, expected in {
        name: [f"{name}_1", f"{name}_2"],
        f"{name}/": [f"{name}_1", f"{name}_2"],
        f"{name}/two.py": [f"{name}_2"],
        f"{name}/tw": [],
    }.items():
        body = _listed(admin, subdir=subdir, report="y")
        assert [dag["dag_id"] for dag in body["dags"]] == expected
        assert sorted(dag_id for file in body["report"] for dag_id in file["dag_ids"]) == expected


def test_the_report_has_each_files_dags_and_errors(server: Server, deploy: Deploy, name: str) -> None:
    success(deploy("good.py", dag_files.many(f"{name}_1", f"{name}_2"), path=name, otf_sync="y"))
    (server.dags / name / "broken.py").write_text("# airflow dag\nraise ValueError(__file__)\n")
    success(server.admin.post("/scan_dags", params={"otf_sync": "y"}))
    answer = server.admin.get("/list_dags", params={"subdir": name, "report": "y"})
    silent_about(answer, str(server.home))
    report = {file["file"]: file for file in success(answer)["report"]}
    assert set(report) == {f"{name}/good.py", f"{name}/broken.py"}
    good, broken = report[f"{name}/good.py"], report[f"{name}/broken.py"]
    assert good["dag_ids"] == [f"{name}_1", f"{name}_2"]
    assert good["dag_count"] == 2
    assert good["import_errors"] == []
    assert good["parsed_at"] is not None
    if server.airflow.keeps_parse_times:
        assert 0 < good["parse_seconds"] < 60
    else:
        assert good["parse_seconds"] is None
    assert broken["dag_count"] == 0
    (error,) = broken["import_errors"]
    assert error["line"] == 2
    assert error["message"] == f"ValueError: {name}/broken.py"


def test_an_unknown_option_is_refused(admin: httpx.Client) -> None:
    problem(admin.get("/list_dags", params={"report": "perhaps"}), 400, "bad-request")
