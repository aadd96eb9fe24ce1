"""Answers of an S3 server that rclone can't be brought to give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


def listing(sizes: Mapping[str, int], next_token: str = "") -> bytes:
    """What S3 answers to a listing of these keys."""
    rows = "".join(
        f"<Contents><Key>{key}</Key><Size>{size}</Size><ETag>e</ETag></Contents>"
        for key, size in sizes.items()
    )
    more = f"<NextContinuationToken>{next_token}</NextContinuationToken>" if next_token else ""
    truncated = f"<IsTruncated>{str(bool(next_token)).lower()}</IsTruncated>"
    return f"<ListBucketResult>{truncated}{more}{rows}</ListBucketResult>".encode()


@dataclass(frozen=True)
class Made:
    """A page of the file server that is made each time it is asked for."""

    make: Callable[[], bytes]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        return self.make()
