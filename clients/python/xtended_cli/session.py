"""Talking to a server: where it is, who asks, and what its answers mean."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from xtended_cli import profiles
from xtended_cli.failures import Failure, usage

if TYPE_CHECKING:
    from airflow_xtended_client import ApiClient

T = TypeVar("T")
PREFIX = "/api/v1/xtended"
_UNREACHED = "urn:airflow-xtended:problem:unreachable"


@dataclass(frozen=True)
class Access:
    """What the command line and the environment say of the server."""

    profile: str
    url: str | None = None
    token: str | None = None
    username: str | None = None
    password: str | None = None
    ca_file: str | None = None


def connect(context: typer.Context) -> Session:
    """A session with the server that the options, the environment or the profile name."""
    access: Access = context.obj
    saved = profiles.load(access.profile)
    url = access.url or (saved.url if saved else None)
    if url is None:
        raise usage("No server is known: log in with `xtended login URL`, or set XTENDED_URL.")
    if access.token or access.username:
        return Session(url, access, None)
    # Its tokens are for its own server alone.
    if saved is None or _base(url) != _base(saved.url):
        raise usage(
            f"No login is known for {url}: log in with `xtended login`, or set XTENDED_TOKEN, "
            "or XTENDED_USERNAME and XTENDED_PASSWORD."
        )
    return Session(url, access, saved)


def _base(url: str) -> str:
    return url.rstrip("/").removesuffix(PREFIX)


class Session:
    """One server and one login; a token that has expired is renewed once, and the profile with it."""

    def __init__(self, url: str, access: Access, saved: profiles.Profile | None) -> None:
        self.url = _base(url)
        self._access = access
        self._saved = saved
        self._client: ApiClient | None = None

    def call(self, ask: Callable[[ApiClient], T]) -> T:
        """What `ask` answers. Raises Failure."""
        return self._asked(lambda: ask(self._connected()))

    def lines(self, ask: Callable[[ApiClient], Any]) -> Iterator[dict[str, Any]]:
        """What comes line by line where `ask` calls a form without preloaded content. Raises Failure."""

        def opened() -> Any:
            from airflow_xtended_client import ApiException

            answer = ask(self._connected())
            if answer.status >= 400:
                body = answer.read().decode(errors="replace")
                raise ApiException.from_response(http_resp=answer, body=body, data=None)
            return answer

        try:
            for line in self._asked(opened):
                if line.strip():
                    yield json.loads(line)
        except OSError as error:
            raise _unreached(self.url, error) from None

    def _connected(self) -> ApiClient:
        if self._client is None:
            import airflow_xtended_client as api

            access, saved = self._access, self._saved
            self._client = api.ApiClient(
                api.Configuration(
                    host=self.url + PREFIX,
                    username=None if saved else access.username,
                    password=None if saved else access.password,
                    access_token=saved.access_token if saved else access.token,
                    ssl_ca_cert=access.ca_file,
                )
            )
        return self._client

    def _asked(self, ask: Callable[[], T]) -> T:
        import urllib3
        from airflow_xtended_client import ApiException

        try:
            try:
                return ask()
            except ApiException as error:
                if error.status != 401 or not self._renew():
                    raise
                return ask()
        except ApiException as error:
            raise Failure(_problem(error)) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _unreached(self.url, error) from None

    def _renew(self) -> bool:
        """Whether a new access token was got for the refresh token of the profile."""
        import airflow_xtended_client as api

        saved = self._saved
        if saved is None or saved.refresh_token is None:
            return False
        configuration = api.Configuration(
            host=self.url + PREFIX,
            access_token=saved.refresh_token,
            ssl_ca_cert=self._access.ca_file,
        )
        with api.ApiClient(configuration) as client:
            try:
                tokens = api.SecurityApi(client).refresh_access_token()
            except api.ApiException:
                return False
        self._saved = replace(saved, access_token=tokens.access_token)
        profiles.save(self._access.profile, self._saved)
        self._client = None
        return True


def _problem(error: Any) -> dict[str, Any]:
    """The problem+json of an answer, or one made of what there is."""
    try:
        body = json.loads(error.body)
    except (TypeError, ValueError):
        body = None
    if isinstance(body, dict) and "type" in body:
        return body
    return {
        "type": "about:blank",
        "title": error.reason or "Refused",
        "status": error.status,
        "detail": f"The server answered {error.status} {error.reason}, and not as Airflow Xtended does.",
    }


def _unreached(url: str, error: Exception) -> Failure:
    reason = getattr(error, "reason", None) or error
    return Failure(
        {
            "type": _UNREACHED,
            "title": "The server can't be reached",
            "status": None,
            "detail": f"{url} can't be reached: {reason}",
        }
    )
