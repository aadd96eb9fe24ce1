"""MongoDB and S3 servers, as real ones as packages bring: started on free ports, ended with the tests."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import pymongo
from botocore.config import Config
from pymongo.errors import PyMongoError

_ENVIRONMENT = Path(__file__).parents[1] / ".venv" / "servers"
_START_SECONDS = 30
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class S3Server:
    """What is below `folder` is what it serves: each folder a bucket."""

    url: str
    folder: Path
    process: subprocess.Popen[bytes]
    access_key: str = "AKIDEXAMPLE"
    secret_key: str = "s3-secret/+key"

    def client(self, connections: int = 1) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(s3={"addressing_style": "path"}, max_pool_connections=connections),
        )

    def fill(self, bucket: str, files: dict[str, bytes]) -> None:
        """Make the bucket hold these objects beside those that it has."""
        for key, content in files.items():
            target = self.folder / bucket / key
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


@dataclass(frozen=True)
class MongoServer:
    """A MongoDB that lets nobody in without a password."""

    port: int
    process: subprocess.Popen[bytes]
    user: str = "reader"
    password: str = "mongo p@ss/word"

    def uri(self, password: str | None = None) -> str:
        secret = quote(password or self.password, safe="")
        return f"mongodb://{self.user}:{secret}@127.0.0.1:{self.port}/?authSource=admin"

    def client(self) -> pymongo.MongoClient[dict[str, Any]]:
        return pymongo.MongoClient(self.uri())


@contextmanager
def s3(folder: Path) -> Iterator[S3Server]:
    """rclone, serving `folder` as S3."""
    port = free_port()
    keys = f"{S3Server.access_key},{S3Server.secret_key}"
    command = [_program("bin/rclone"), "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", keys]
    # Else it would go on showing what it saw a minute ago.
    command += ["--vfs-cache-mode", "off", "--dir-cache-time", "0s", str(folder)]
    with _running(command, port, {"RCLONE_CONFIG": os.devnull}) as process:
        yield S3Server(f"http://127.0.0.1:{port}", folder, process)


@contextmanager
def mongo(folder: Path) -> Iterator[MongoServer]:
    """mongod with its data in `folder`."""
    (found,) = (_ENVIRONMENT / "lib").glob("python*/site-packages/fiftyone/db/bin/mongod")
    port = free_port()
    command = [str(found), "--dbpath", str(folder), "--port", str(port), "--bind_ip", "127.0.0.1", "--auth"]
    command += ["--nounixsocket", "--nojournal", "--wiredTigerCacheSizeGB", "0.25", "--quiet"]
    with _running(command, port, {}) as process:
        server = MongoServer(port, process)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                with pymongo.MongoClient(f"mongodb://127.0.0.1:{port}/", directConnection=True) as first:
                    first.admin.command("createUser", server.user, pwd=server.password, roles=["root"])
                break
            except PyMongoError:
                assert time.monotonic() < deadline, "mongod does not answer"
        yield server


def _program(path: str) -> str:
    found = _ENVIRONMENT / path
    assert found.exists(), "the servers of the tests are not installed: make test does it"
    return str(found)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _running(
    command: Sequence[str], port: int, environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=_end_with_parent,
    )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, f"{command[0]} ended"
                assert time.monotonic() < deadline, f"{command[0]} does not answer"
                time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.wait()


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
