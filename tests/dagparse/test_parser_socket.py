"""Nobody but the user that Airflow runs as can put itself between Airflow and its parser."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from warm_parser import Processes

from xtended.dagparse import Parser
from xtended.dagparse.launch import SOCKET_PATH_LIMIT, Launcher
from xtended.problems import ParserUnavailable

MakeParser = Callable[..., Parser]


def launcher(runtime_dir: Path, **environ: str) -> Launcher:
    return Launcher("builtins:ord", runtime_dir, 1.0, environ)


@pytest.fixture
def short_temp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="x", dir="/tmp") as directory:
        monkeypatch.setattr(tempfile, "tempdir", directory)
        yield Path(directory)


def test_the_runtime_directory_is_private(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o777)
    launcher(tmp_path / "run").connect()
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700


def test_a_link_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ParserUnavailable):
        launcher(tmp_path / "run").connect()


def test_another_users_directory_is_refused(tmp_path: Path) -> None:
    theirs = Path("/usr")
    if os.geteuid() == 0:
        theirs = tmp_path / "run"
        theirs.mkdir()
        os.chown(theirs, 12345, 12345)
    with pytest.raises(ParserUnavailable):
        launcher(theirs).connect()


def test_a_runtime_path_too_long_for_a_socket_works(
    make_parser: MakeParser, tmp_path: Path, short_temp: Path
) -> None:
    runtime_dir = tmp_path / ("long" * 40)
    assert len(str(runtime_dir)) > SOCKET_PATH_LIMIT
    mark = Processes()
    parser = make_parser(mark, runtime_dir=runtime_dir)
    assert parser.alive()
    (private,) = short_temp.iterdir()
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    parser.close()
    mark.settle(0, seconds=15.0)


def test_a_change_of_airflows_settings_means_another_parser(tmp_path: Path) -> None:
    def socket_of(**environ: str) -> Path:
        made = launcher(tmp_path / "run", AIRFLOW_HOME=str(tmp_path), **environ)
        return made.path

    before = socket_of()
    assert before == socket_of(UNRELATED="x")
    assert before != socket_of(AIRFLOW__CORE__DAGS_FOLDER="/elsewhere")
    (tmp_path / "airflow.cfg").write_text("[core]\n")
    assert before != socket_of()
