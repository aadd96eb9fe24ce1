"""How long a sync takes: of a bucket, beside `aws s3 sync`; of a collection, beside a bare read by pymongo."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import memory
from deploys import CODE
from measures import Row, Samples
from server import CLONE, XTENDED, Airflow

sys.path.insert(0, str(CLONE / "tests"))
import real_servers

AWS = CLONE / ".venv" / "bench" / "bin" / "aws"
BUCKET, TEXTS = "bench", "texts"
ROUNDS = 5
UNCHANGED_FACTOR = 0.33
# 80 % of the server's rate, the listing and the change of the folder included.
READ_FACTOR = 1.25
READERS = 16
MONGO_FACTOR = 2
TARGET_MEGABYTES = 200


def settings() -> Mapping[str, str]:
    """What the measured Airflow needs: its sources are on this machine."""
    return {"AIRFLOW__XTENDED_API__OUTBOUND_ALLOW": "127.0.0.1/32"}


def measure(airflow: Airflow, files: int, scratch: Path) -> list[Row]:
    """The DAG folder must be empty, and is again in the end."""
    scratch.mkdir(parents=True)
    with real_servers.s3(scratch / "s3") as s3:
        rows = _of_bucket(airflow, s3, files, scratch / "copy")
    with real_servers.mongo(_made(scratch / "mongo")) as mongo:
        return [*rows, *_of_collection(airflow, mongo, files)]


def _of_bucket(airflow: Airflow, s3: real_servers.S3Server, files: int, copy: Path) -> list[Row]:
    def ours(bucket: str = BUCKET) -> float:
        return _sync(
            airflow,
            "s3_sync",
            s3_bucket_name=bucket,
            s3_region="us-east-1",
            s3_access_key=s3.access_key,
            s3_secret_key=s3.secret_key,
            s3_endpoint_url=s3.url,
        )

    def theirs() -> float:
        return _aws_sync(s3, copy)

    s3.fill(BUCKET, {_key(name): CODE.format(dag_id=name).encode() for name in _names(files)})
    with memory.watched() as added:
        cold = _row(f"s3_sync of {files:,} files, cold, parsed and published", ours, theirs, 1, factor=1)
    same = _row(f"s3_sync of {files:,} files, nothing changed", ours, theirs, ROUNDS, factor=UNCHANGED_FACTOR)
    few = _names(files)[: max(1, files // 100)]
    s3.fill(BUCKET, {_key(name): CODE.format(dag_id=f"{name}_anew").encode() for name in few})
    changed = _row(f"s3_sync of {files:,} files, 1 % changed, parsed and published", ours, theirs, 1)
    s3.fill(TEXTS, {_key(name, "txt"): CODE.encode() for name in _names(files)})
    fetched = _row(
        f"s3_sync of {files:,} files that define no DAG, cold",
        lambda: ours(TEXTS),
        lambda: _bare_reads(s3, TEXTS),
        1,
        factor=READ_FACTOR,
        name=f"bare GetObject, {READERS} threads",
    )
    return [cold, _memory_row(files, added.peak), same, changed, fetched]


def _of_collection(airflow: Airflow, mongo: real_servers.MongoServer, files: int) -> list[Row]:
    with mongo.client() as client:
        collection: Any = client["bench"]["dags"]
        collection.insert_many(
            [{"name": _key(name), "source": CODE.format(dag_id=name)} for name in _names(files)]
        )

        def ours() -> float:
            return _sync(
                airflow,
                "mongo_sync",
                connection_string=mongo.uri(),
                db_name="bench",
                collection_name="dags",
                field_filename="name",
                field_dag_source="source",
            )

        def theirs() -> float:
            began = time.perf_counter()
            list(collection.find({}, {"name": 1, "source": 1}))
            return time.perf_counter() - began

        read = "pymongo, bare read"
        cold = _row(
            f"mongo_sync of {files:,} documents, cold, parsed and published",
            ours,
            theirs,
            1,
            factor=MONGO_FACTOR,
            name=read,
        )
        same = _row(f"mongo_sync of {files:,} documents, nothing changed", ours, theirs, ROUNDS, name=read)
    return [cold, same]


def _row(
    what: str,
    ours: Callable[[], float],
    theirs: Callable[[], float],
    rounds: int,
    factor: float | None = None,
    name: str = "aws s3 sync",
) -> Row:
    """By turns; `factor` is how much of the other's time is the target."""
    pairs = [(theirs(), ours()) for _ in range(rounds)]
    other, extension = (Samples(tuple(each)) for each in zip(*pairs, strict=True))
    ratio = extension.p50 / other.p50
    return Row(
        what=what,
        ours=str(extension),
        other=f"{name}: {other}",
        ratio=f"{ratio:.2f}",
        target="-" if factor is None else f"<= {factor:.3g}x",
        reached=None if factor is None else ratio <= factor,
    )


def _memory_row(files: int, megabytes: float) -> Row:
    return Row(
        what=f"memory that a cold s3_sync of {files:,} files adds, at its peak",
        ours=f"{megabytes:.0f} MB",
        other="the web process before",
        ratio="-",
        target=f"<= {TARGET_MEGABYTES} MB",
        reached=megabytes <= TARGET_MEGABYTES,
    )


def _sync(airflow: Airflow, operation: str, **fields: str) -> float:
    client = airflow.basic()
    began = time.perf_counter()
    answer = client.form(f"{XTENDED}/{operation}", {**fields, "otf_sync": "true"})
    seconds = time.perf_counter() - began
    if answer.status != 200:
        sys.exit(f"{operation} answered {answer.status}: {answer.body[:500]!r}")
    return seconds


def _aws_sync(s3: real_servers.S3Server, copy: Path) -> float:
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    command = [
        str(AWS),
        "--endpoint-url",
        s3.url,
        "s3",
        "sync",
        "--only-show-errors",
        f"s3://{BUCKET}",
        str(copy),
    ]
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"aws s3 sync failed:\n{done.stderr}")
    return seconds


def _bare_reads(s3: real_servers.S3Server, bucket: str) -> float:
    """Seconds to read every object of a bucket whose keys are known, and to do nothing with it."""
    client = s3.client(READERS)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [found["Key"] for page in pages for found in page["Contents"]]
    began = time.perf_counter()
    with ThreadPoolExecutor(READERS) as threads:
        list(threads.map(lambda key: client.get_object(Bucket=bucket, Key=key)["Body"].read(), keys))
    return time.perf_counter() - began


def _names(files: int) -> list[str]:
    return [f"synced_{number:05}" for number in range(files)]


def _key(name: str, kind: str = "py") -> str:
    """A hundred to a folder: for each object that it serves, rclone goes through all that lie beside it."""
    return f"{name[-5:-2]}/{name}.{kind}"


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
