"""JSON workflows: deployed as their document has it, and never anything but data."""

from __future__ import annotations

import copy
import json
from typing import Any

import httpx
import pytest

from contract.checks import problem, success
from contract.server import Server, unchanged

# As it is printed in the document of the older plugin.
EXAMPLE: dict[str, Any] = json.loads("""
{
	"workflow": {
		"name": "test_ingestion_x_35",
		"force": "true",
		"pause": "false",
		"unpause": "true",
		"dag_config": {
			"test_ingestion_x_35": {
				"default_args": {
					"owner": "harsha",
					"start_date": "2021-10-29T00:00:00.000Z",
					"end_date": "2021-11-05T00:00:00.000Z",
					"retries": 1,
					"retry_delay_sec": 300
				},
				"schedule_interval": "0 3 * * *",
				"concurrency": 1,
				"max_active_runs": 1,
				"dagrun_timeout_sec": 60,
				"default_view": "tree",
				"orientation": "LR",
				"description": "this is an example dag!",
				"tasks": {
					"task_1": {
						"operator": "airflow.operators.python_operator.PythonOperator",
						"python_callable_name": "metadata_ingestion_workflow",
						"python_callable_file": "metadata_ingestion.py",
						"op_kwargs": {
							"workflow_config": {
								"metadata_server": {
									"config": {
										"api_endpoint": "http://localhost:8585/api",
										"auth_provider_type": "no-auth"
									},
									"type": "metadata-server"
								},
								"sink": {
									"config": {
										"es_host": "localhost",
										"es_port": 9200,
										"index_dashboards": "true",
										"index_tables": "true",
										"index_topics": "true"
									},
									"type": "elasticsearch"
								},
								"source": {
									"config": {
										"include_dashboards": "true",
										"include_tables": "true",
										"include_topics": "true",
										"limit_records": 10
									},
									"type": "metadata"
								}
							}
						}
					}
				}
			}
		}
	}
}
""")
FOLDER = "dag_generated_configs"


def workflow(name: str, **tasks: Any) -> dict[str, Any]:
    tasks = tasks or {"only": {"operator": "airflow.operators.bash.BashOperator", "bash_command": "true"}}
    return {"workflow": {"name": name, "dag_config": {name: {"tasks": tasks}}}}


def test_the_documents_example_at_the_older_address(server: Server) -> None:
    answer = httpx.post(
        f"{server.url}/rest_api/api",
        params={"api": "deploy_dag"},
        json=EXAMPLE,
        auth=("admin", server.passwords["admin"]),
        timeout=60,
    )
    assert answer.json() == {
        "message": "Workflow [test_ingestion_x_35] has been created",
        "status": "success",
    }
    dag = server.airflow.dag("test_ingestion_x_35")
    assert dag is not None
    assert not dag.paused
    assert server.airflow.tasks("test_ingestion_x_35") == {"task_1"}


def test_a_workflow_is_listed_read_replaced_and_deleted(server: Server, name: str) -> None:
    api = server.admin
    sent = workflow(
        name,
        first={"operator": "airflow.operators.bash_operator.BashOperator", "bash_command": "true"},
        second={"operator": "airflow.operators.dummy_operator.DummyOperator", "dependencies": ["first"]},
    )
    answer = success(api.post("/deploy_workflow", json=sent))
    assert (answer["dag_ids"], answer["dags"][0]["live"]) == ([name], True)
    assert sorted(answer["files"]["added"]) == [f"{FOLDER}/{name}.json", f"{FOLDER}/{name}.py"]
    shape = success(api.get("/list_tasks", params={"dag_id": name}))["tasks"]
    assert {task["task_id"]: task["downstream"] for task in shape} == {"first": ["second"], "second": []}
    assert name in success(api.get("/workflows"))["message"].splitlines()
    kept = success(api.get(f"/workflows/{name}"))["dag_config"][name]["tasks"]
    assert kept["second"]["operator"] == "airflow.providers.standard.operators.empty.EmptyOperator"

    with unchanged(server):
        problem(api.post("/deploy_workflow", json=sent), 409, "file-exists")
    changed = workflow(name)
    changed["workflow"]["force"] = True
    assert success(api.post("/deploy_workflow", json=changed))["files"]["changed"] == [
        f"{FOLDER}/{name}.json"
    ]
    assert server.airflow.tasks(name) == {"only"}

    success(api.delete(f"/workflows/{name}"))
    assert server.airflow.dag(name) is None
    assert not list((server.dags / FOLDER).glob(f"{name}.*"))
    problem(api.get(f"/workflows/{name}"), 404, "not-found")
    problem(api.delete(f"/workflows/{name}"), 404, "not-found")


@pytest.mark.parametrize(
    "text",
    [
        '"); import os; os.system("touch pwned"); ("',
        "'''\nraise SystemExit\n'''",
        '"""\nraise SystemExit\n"""',
        "{{ ''.__class__.__mro__ }}",
        "{% for x in [] %}",
        '\\"); raise SystemExit #',
        "\u2028raise SystemExit",
    ],
)
def test_no_value_ever_becomes_python(server: Server, name: str, text: str) -> None:
    sent = workflow(name, only={"operator": "airflow.operators.bash.BashOperator", "bash_command": text})
    config = sent["workflow"]["dag_config"][name]
    config |= {"description": text, "tags": [text[:90]], "default_args": {"owner": text}}
    success(server.admin.post("/deploy_workflow", json=sent))
    plain = workflow(f"{name}_plain")
    success(server.admin.post("/deploy_workflow", json=plain))
    written = server.dags / FOLDER
    assert (written / f"{name}.py").read_bytes() == (written / f"{name}_plain.py").read_bytes()
    kept = success(server.admin.get(f"/workflows/{name}"))["dag_config"][name]
    assert (kept["description"], kept["tasks"]["only"]["bash_command"]) == (text, text)


@pytest.mark.parametrize(
    ("place", "value", "status"),
    [
        ("name", "../evil", 400),
        ("taskz", {}, 400),
        ("tasks", {"x": {"operator": "os.system"}}, 400),
        ("tasks", {"x": {"operator": "airflow.operators.bash.BashOperator", "no_such_argument": 1}}, 422),
        ("tasks", {"x": {"operator": "airflow.operators.bash.NoSuchOperator"}}, 400),
        ("schedule_interval", "every so often", 422),
    ],
)
def test_a_workflow_that_is_wrong_changes_nothing(
    server: Server, name: str, place: str, value: Any, status: int
) -> None:
    sent = workflow(name)
    (sent["workflow"] if place == "name" else sent["workflow"]["dag_config"][name])[place] = value
    with unchanged(server):
        answer = server.admin.post("/deploy_workflow", json=sent)
        assert answer.status_code == status, answer.text


def test_a_dry_run_changes_nothing(server: Server, name: str) -> None:
    with unchanged(server):
        answer = success(server.admin.post("/deploy_workflow", json={**workflow(name), "dry_run": True}))
    assert answer["dag_ids"] == [name]


def test_a_workflow_takes_the_right_on_its_own_dags_alone(fab: Server, name: str) -> None:
    success(fab.admin.post("/deploy_workflow", json=workflow(name)))
    rights = [("can_read", f"DAG:{name}"), ("can_edit", f"DAG:{name}"), ("can_delete", f"DAG:{name}")]
    fab.add_user("owner_of_a_workflow", "their password", rights)
    owner = fab.client("owner_of_a_workflow")
    again = copy.deepcopy(workflow(name))
    again["workflow"]["force"] = True
    again["workflow"]["dag_config"][name]["description"] = "changed"
    success(owner.post("/deploy_workflow", json=again))
    assert success(owner.get("/workflows"))["message"] == name
    answer = owner.post("/deploy_workflow", json=workflow(f"{name}_other"))
    problem(answer, 403, "forbidden")
    success(owner.delete(f"/workflows/{name}"))
