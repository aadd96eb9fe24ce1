"""What a request costs that does nothing but prove who is calling."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from measures import Row, Samples
from server import XTENDED, Airflow, Client

TARGET_RATIO = 1.5
BLOCKS = 5
CHEAPEST_OF_AIRFLOW = "/pools?limit=1"


def timed(client: Client, path: str, requests: int, expected: int = 200) -> list[float]:
    """Seconds of each of so many requests, which have to be answered with this status."""
    seconds = []
    for _ in range(requests):
        began = time.perf_counter()
        status = client.get(path).status
        seconds.append(time.perf_counter() - began)
        if status != expected:
            sys.exit(f"GET {path} answered {status}")
    return seconds


def _block(clients: list[Client], path: str, requests: int) -> list[float]:
    with ThreadPoolExecutor(len(clients)) as pool:
        every = pool.map(lambda client: timed(client, path, requests), clients)
        return [value for values in every for value in values]


def measure(airflow: Airflow, clients: int, rounds: int) -> list[Row]:
    """Blocks of each kind by turns, so that a machine that slows down slows all of them."""
    version = f"{XTENDED}/version"
    kinds: dict[str, tuple[Callable[[], Client], str]] = {
        "basic": (airflow.basic, version),
        "airflow": (airflow.client, airflow.api + CHEAPEST_OF_AIRFLOW),
    }
    if airflow.host == "airflow3":
        kinds["bearer"] = airflow.bearer, version
    login = "bearer" if "bearer" in kinds else "basic"
    connected = {name: ([connect() for _ in range(clients)], path) for name, (connect, path) in kinds.items()}
    for asking, path in connected.values():
        _block(asking, path, 20)
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(BLOCKS):
        for name, (asking, path) in connected.items():
            seconds[name] += _block(asking, path, rounds)
    samples = {name: Samples(tuple(values)) for name, values in seconds.items()}
    native = samples["airflow"]
    return [
        Row(
            what=f"authenticated no-op, {name}, {clients} {'client' if clients == 1 else 'clients'}",
            ours=str(samples[name]),
            other=f"GET pools, {login}: {native}",
            ratio=f"{samples[name].p50 / native.p50:.2f}",
            target=f"<= {TARGET_RATIO}x",
            reached=samples[name].p50 <= TARGET_RATIO * native.p50,
            p50=samples[name].p50,
        )
        for name in sorted(kinds.keys() - {"airflow"}, reverse=True)
    ]
