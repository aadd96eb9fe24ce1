"""A source that is kept takes the same fields as a sync that is asked for."""

from __future__ import annotations

import pytest

from xtended.contract import load_spec
from xtended.origins import KINDS

OF_ONE_REQUEST = {"dry_run", "background", "message"}


@pytest.mark.parametrize(("path", "kind"), [("/s3_sync", "s3"), ("/mongo_sync", "mongo")])
def test_each_kind_takes_the_fields_of_its_sync(path: str, kind: str) -> None:
    body = load_spec()["paths"][path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert KINDS[kind].fields == body["properties"].keys() - OF_ONE_REQUEST
    assert KINDS[kind].required == set(body["required"])
