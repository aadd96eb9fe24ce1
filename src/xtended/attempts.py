"""Slowing down whoever tries one password after the other.

After some wrong ones in a row, a user's name or a client's address has to wait before the next try, twice as long
each time. What is counted is in a file, because Airflow's web server has several workers, and a guesser may meet any.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from xtended.problems import TooManyAttempts, Unavailable

FREE_FOR_A_USER = 5
FREE_FOR_AN_ADDRESS = 20
"""Wrong passwords in a row that cost nothing. Many people may share one address."""

LONGEST_WAIT = 60.0
FORGOTTEN_AFTER = 900.0
"""Seconds: of a wait, so that nobody can lock somebody else out for long, and since the last failure."""

MOST_KNOWN = 10_000
_LOCK_SECONDS = 10.0

Failures = dict[str, tuple[int, float]]
"""How many, and when the last one was, by a hash of whose they are: names that were tried may be passwords."""


class Attempts:
    """Failed logins by user and by address, in one file. Safe to use from several threads and processes."""

    def __init__(self, file: Path, now: Callable[[], float] = time.time) -> None:
        self._file = file
        self._now = now

    @contextmanager
    def attempt(self, user: str, address: str) -> Iterator[Callable[[], None]]:
        """One try, which counts as failed unless what this yields is called. Raises TooManyAttempts.

        It counts from its start, so that many at the same time are not one.
        """
        free = {_key("user", user): FREE_FOR_A_USER, _key("address", address): FREE_FOR_AN_ADDRESS}
        with self._changing() as failures:
            wait = max(self._wait(*failures.get(key, (0, 0.0)), limit) for key, limit in free.items())
            if wait > 0:
                raise TooManyAttempts(
                    f"Too many wrong passwords; wait {round(wait) + 1} seconds.",
                    headers={"Retry-After": str(round(wait) + 1)},
                )
            for key in free:
                # Put in anew, so that the file stays in the order in which entries are forgotten.
                count, _ = failures.pop(key, (0, 0.0))
                failures[key] = (count + 1, self._now())
        yield lambda: self._forgive(*free)

    def _wait(self, count: int, last: float, free: int) -> float:
        if count < free:
            return 0.0
        return min(LONGEST_WAIT, 2.0 ** min(count - free, 10)) - (self._now() - last)

    def _forgive(self, user: str, address: str) -> None:
        """The user is who they say; of the address, this try alone is forgiven."""
        with self._changing() as failures:
            failures.pop(user, None)
            count, last = failures.get(address, (1, 0.0))
            failures[address] = (count - 1, last)

    @contextmanager
    def _changing(self) -> Iterator[Failures]:
        """What is in the file, put back at the end of the block unless that raises."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self._file.with_suffix(".lock"), timeout=_LOCK_SECONDS, mode=0o600):
                failures = self._read()
                yield failures
                for key in [*failures][: max(0, len(failures) - MOST_KNOWN)]:
                    del failures[key]
                draft = self._file.with_suffix(".draft")
                draft.write_text(json.dumps(failures))
                draft.replace(self._file)
        except Timeout:
            raise Unavailable("Too many logins at the same time.", headers={"Retry-After": "1"}) from None

    def _read(self) -> Failures:
        try:
            found = json.loads(self._file.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        oldest = self._now() - FORGOTTEN_AFTER
        return {key: (count, last) for key, (count, last) in found.items() if count > 0 and last > oldest}


def _key(kind: str, whose: str) -> str:
    return f"{kind}-{hashlib.sha256(whose.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}"
