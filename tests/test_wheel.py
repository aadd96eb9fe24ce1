"""What is installed from the wheel is whole: the code, the spec, the entry point and the licence."""

import configparser
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built by way of the source archive, so that this one is whole too."""
    folder = tmp_path_factory.mktemp("dist")
    uv = CHECKOUT / ".venv" / "uv" / "bin" / "uv"
    subprocess.run([uv, "build", "--quiet", "--out-dir", folder], cwd=CHECKOUT, env=os.environ, check=True)
    [path] = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_the_wheel_carries_the_spec_as_it_is(wheel):
    shipped = wheel.read("xtended/openapi/xtended.yaml")
    assert shipped == (CHECKOUT / "openapi" / "xtended.yaml").read_bytes()


def test_the_wheel_carries_every_module_template_and_page_and_nothing_beside_the_package(wheel):
    source = CHECKOUT / "src"
    kinds = ("*.py", "*.j2", "templates/**/*.html", "web/*.*", "web/assets/*")
    written = (path for kind in kinds for path in source.rglob(kind))
    modules = {path.relative_to(source).as_posix() for path in written}
    assert {"xtended/web/deployments.html", "xtended/web/swagger.html"} < modules
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == modules | {"xtended/openapi/xtended.yaml"}


def test_airflow_finds_the_plugin_by_its_entry_point(wheel):
    [name] = [name for name in wheel.namelist() if name.endswith("/entry_points.txt")]
    entries = configparser.ConfigParser()
    entries.read_string(wheel.read(name).decode())
    assert dict(entries["airflow.plugins"]) == {"xtended": "xtended.plugin:XtendedPlugin"}


def test_the_wheel_carries_the_licence(wheel):
    [name] = [name for name in wheel.namelist() if name.endswith("/licenses/LICENSE")]
    assert wheel.read(name) == (CHECKOUT / "LICENSE").read_bytes()
