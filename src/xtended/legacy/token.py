"""The token of the older plugin, and the user that it acts as."""

from __future__ import annotations

import hashlib
import hmac
import logging

from xtended.airflow_host.identity import VouchedCredentials
from xtended.legacy.envelopes import TOKEN_FAILED
from xtended.problems import Forbidden
from xtended.services import Services

log = logging.getLogger(__name__)


def check_token(services: Services, token: str) -> VouchedCredentials | None:
    """Whom a token lets in; None where none is configured. Raises Forbidden."""
    expected = services.older_plugin.rest_api_plugin_expected_http_token
    if not expected:
        return None
    if not hmac.compare_digest(_digest(token), _digest(expected)):
        raise Forbidden(TOKEN_FAILED)
    name = services.settings.legacy_token_user
    user = services.host.identity.named(name) if name else None
    if user is None:
        log.warning(
            "The token of [rest_api_plugin] grants nothing: [xtended_api] legacy_token_user is %s",
            f"{name!r}, and there is no such user" if name else "not set",
        )
        raise Forbidden(TOKEN_FAILED)
    return VouchedCredentials(user)


def _digest(text: str) -> bytes:
    # Of the same length for each token, so that the time of the comparison tells nothing.
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
