"""Live means live: what a deploy with otf_sync has answered can be triggered, in its new form."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from contract import checks, dag_files
from contract.server import Server

Deploy = Callable[..., httpx.Response]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(lambda name: {f"{name}.py": dag_files.dag(name)}, id="with-block"),
        pytest.param(lambda name: {f"{name}.py": dag_files.taskflow(name)}, id="taskflow"),
        pytest.param(lambda name: {f"{name}.py": dag_files.dynamic(name)}, id="dynamic"),
        pytest.param(
            lambda name: {
                f"{name}.zip": dag_files.archive(
                    {
                        "main.py": dag_files.dag(name, before=f"from {name}_helper import VALUE"),
                        f"{name}_helper.py": b"VALUE = 1\n",
                    }
                )
            },
            id="zip-with-a-module",
        ),
    ],
)
def test_a_deployed_dag_can_be_triggered_at_once(
    server: Server, deploy: Deploy, name: str, content: Callable[[str], dict[str, bytes]]
) -> None:
    ((filename, data),) = content(name).items()
    body = checks.success(deploy(filename, data, otf_sync="true"))
    assert body["dag_ids"] == [name]
    assert body["dags"] == [{"dag_id": name, "live": True, "paused": True}]
    assert body["files"] == {"added": [filename], "changed": [], "deleted": []}
    assert body["import_errors"] == []
    assert server.airflow.trigger(name)


def test_every_dag_of_a_file_is_live(server: Server, deploy: Deploy, name: str) -> None:
    names = [f"{name}_{each}" for each in "abc"]
    body = checks.success(deploy(f"{name}.py", dag_files.many(*names), otf_sync="1"))
    assert body["dag_ids"] == names
    for each in names:
        assert server.airflow.trigger(each)


def test_a_redeployed_dag_runs_in_its_new_form_at_once(server: Server, deploy: Deploy, name: str) -> None:
    for number in range(3):
        tasks = {f"first_{number}", f"second_{number}"}
        checks.success(deploy(f"{name}.py", dag_files.dag(name, *sorted(tasks)), otf_sync="yes", force="yes"))
        # Asking fills the cache of Airflow's own API, which must not outlive the next deploy.
        assert server.airflow.tasks(name) == tasks
        run = server.airflow.trigger(name)
        assert server.airflow.run_tasks(name, run) == tasks


def test_a_dag_that_was_looked_at_but_never_run_is_seen_in_its_new_form(
    server: Server, deploy: Deploy, name: str
) -> None:
    checks.success(deploy(f"{name}.py", dag_files.dag(name, "old"), otf_sync="y"))
    assert server.airflow.tasks(name) == {"old"}
    checks.success(deploy(f"{name}.py", dag_files.dag(name, "new"), otf_sync="y", force="y"))
    assert server.airflow.tasks(name) == {"new"}
    run = server.airflow.trigger(name)
    assert server.airflow.run_tasks(name, run) == {"new"}


def test_without_otf_sync_the_dag_processor_is_asked_to_parse(
    server: Server, deploy: Deploy, name: str
) -> None:
    body = checks.success(deploy(f"{name}.py", dag_files.dag(name)))
    assert body["dags"] == [{"dag_id": name, "live": False, "paused": None}]
    assert f"{name}.py" in server.airflow.parse_requests(server.database())
    # Asking twice for the same file is one request, not an error.
    checks.success(deploy(f"{name}.py", dag_files.dag(name, "other"), force="y"))


@pytest.mark.parametrize("suffix", ["py", "zip"])
def test_unpause_unpauses(server: Server, deploy: Deploy, name: str, suffix: str) -> None:
    content = dag_files.dag(name)
    data = content if suffix == "py" else dag_files.archive({"main.py": content})
    body = checks.success(deploy(f"{name}.{suffix}", data, unpause="on"))
    assert body["dags"] == [{"dag_id": name, "live": True, "paused": False}]
    state = server.airflow.dag(name)
    assert state is not None
    assert not state.paused


def test_a_known_dag_keeps_its_state_without_unpause(server: Server, deploy: Deploy, name: str) -> None:
    checks.success(deploy(f"{name}.py", dag_files.dag(name), unpause="y", otf_sync="y"))
    checks.success(deploy(f"{name}.py", dag_files.dag(name, "new"), force="y", otf_sync="y"))
    state = server.airflow.dag(name)
    assert state is not None
    assert not state.paused


def test_a_dag_that_the_new_file_no_longer_defines_is_stale_at_once(
    server: Server, deploy: Deploy, name: str
) -> None:
    checks.success(deploy(f"{name}.py", dag_files.many(f"{name}_a", f"{name}_b"), otf_sync="y"))
    body = checks.success(deploy(f"{name}.py", dag_files.dag(f"{name}_a"), otf_sync="y", force="y"))
    assert body["removed_dag_ids"] == [f"{name}_b"]
    state = server.airflow.dag(f"{name}_b")
    assert state is None or state.stale


def test_a_module_beside_the_dag_is_found(
    server: Server, deploy: Deploy, admin: httpx.Client, name: str
) -> None:
    module = f"{name}_module"
    checks.success(admin.post("/upload_file", files={"file": (f"{module}.py", b"VALUE = 41\n")}))
    content = dag_files.dag(name, before=f"from {module} import VALUE")
    checks.success(deploy(f"{name}.py", content, otf_sync="y"))
    assert server.airflow.trigger(name)


def test_a_file_that_reads_its_neighbour_is_parsed_as_it_will_be(
    deploy: Deploy, admin: httpx.Client, name: str
) -> None:
    checks.success(admin.post("/upload_file", files={"file": (f"{name}.txt", name.encode())}))
    read = f"from pathlib import Path\nNAME = (Path(__file__).parent / '{name}.txt').read_text()"
    content = dag_files.dag(name, before=read).replace(f"DAG('{name}'".encode(), b"DAG(NAME")
    body = checks.success(deploy(f"{name}_dag.py", content, otf_sync="y"))
    assert body["dag_ids"] == [name]


def test_create_dag_deploys_code(server: Server, admin: httpx.Client, name: str) -> None:
    fields = {"filename": f"{name}.py", "dag_code": dag_files.dag(name).decode(), "otf_sync": "TRUE"}
    body = checks.success(admin.post("/create_dag", files={key: (None, fields[key]) for key in fields}))
    assert body["dag_ids"] == [name]
    assert server.airflow.trigger(name)
