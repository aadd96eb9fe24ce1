"""Which addresses an outbound connection may go to, judged on what a host name resolves to."""

from __future__ import annotations

import ipaddress
import logging
import queue
import socket
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from xtended.problems import OutboundRefused, SourceFailed

log = logging.getLogger(__name__)

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

# From IANA's special-purpose address registries. Written out, because what `ipaddress.is_global` says of
# some blocks changes between patch releases of Python.
_NOT_PUBLIC_V4 = [
    (ipaddress.IPv4Network(block), what)
    for block, what in (
        ("0.0.0.0/8", "an unspecified"),
        ("10.0.0.0/8", "a private"),
        ("100.64.0.0/10", "a carrier-grade NAT"),
        ("127.0.0.0/8", "a loopback"),
        # Azure's platform services answer here, inside a virtual machine alone, though the block is public.
        ("168.63.129.16/32", "a cloud platform"),
        ("169.254.0.0/16", "a link-local"),
        ("172.16.0.0/12", "a private"),
        ("192.0.0.0/24", "a reserved"),
        ("192.0.2.0/24", "a documentation"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "a private"),
        ("198.18.0.0/15", "a benchmarking"),
        ("198.51.100.0/24", "a documentation"),
        ("203.0.113.0/24", "a documentation"),
        ("224.0.0.0/4", "a multicast"),
        ("240.0.0.0/4", "a reserved"),
    )
]
_NOT_PUBLIC_V6 = [
    (ipaddress.IPv6Network(block), what)
    for block, what in (
        ("::/128", "an unspecified"),
        ("::1/128", "a loopback"),
        ("fc00::/7", "a private"),
        ("fe80::/10", "a link-local"),
        ("fec0::/10", "a site-local"),
        ("ff00::/8", "a multicast"),
        ("2001::/23", "a reserved"),  # Teredo, ORCHID, benchmarking
        ("2001:db8::/32", "a documentation"),
        ("2002::/16", "a 6to4"),
        ("3fff::/20", "a documentation"),
    )
]
_GLOBAL_UNICAST_V6 = ipaddress.IPv6Network("2000::/3")
# RFC 6052: the last 32 bits are the IPv4 address that the gateway connects to.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Endpoint(NamedTuple):
    """One answer of the resolver, as `socket.connect` takes it."""

    family: socket.AddressFamily
    sockaddr: tuple[Any, ...]

    @property
    def address(self) -> IPAddress:
        return effective_address(self.sockaddr[0])


def effective_address(text: str) -> IPAddress:
    """The address that packets end up at: IPv4 inside a mapped or NAT64 IPv6 address is taken out."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def why_not_public(address: IPAddress) -> str | None:
    """What kind of address it is ("a private"), or None for one that anybody on the internet can reach."""
    if isinstance(address, ipaddress.IPv4Address):
        return next((what for block, what in _NOT_PUBLIC_V4 if address in block), None)
    what = next((what for block, what in _NOT_PUBLIC_V6 if address in block), None)
    if what is None and address not in _GLOBAL_UNICAST_V6:
        return "a reserved"
    return what


@dataclass(frozen=True)
class OutboundPolicy:
    """What may be connected to: public addresses, and what `allow` names besides.

    `allow` holds host names (`*.example.com` for every name below it) and CIDR blocks. A name that is
    listed may resolve to any address.
    """

    allow: tuple[str, ...] = ()

    def check(self, host: str, addresses: Iterable[IPAddress]) -> None:
        """Raises OutboundRefused where one of the addresses of `host` is neither public nor allowed."""
        names, blocks = self._parsed()
        if _name_matches(host, names):
            return
        for address in addresses:
            what = why_not_public(address)
            if what is not None and not any(address in block for block in blocks):
                # The address itself stays in the server's log: a client must not map the inner network by it.
                log.warning("Refused to connect to %s: it resolves to %s (%s address).", host, address, what)
                raise OutboundRefused(
                    f"{host!r} resolves to {what} address, which may not be fetched from. "
                    "An operator can allow it in [xtended_api] outbound_allow.",
                    host=host,
                )

    def _parsed(self) -> tuple[list[str], list[IPNetwork]]:
        names: list[str] = []
        blocks: list[IPNetwork] = []
        for entry in self.allow:
            try:
                blocks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError:
                names.append(entry.lower().rstrip("."))
        return names, blocks


def _name_matches(host: str, names: Sequence[str]) -> bool:
    host = host.lower().rstrip(".")
    return any(
        host.endswith(name[1:]) and host != name[1:] if name.startswith("*.") else host == name
        for name in names
    )


def resolve(host: str, port: int, *, policy: OutboundPolicy, within: float) -> list[Endpoint]:
    """Where to connect to for `host`: every address of it, each one checked.

    The caller connects to one of these and does not look the name up again; a second answer could be
    another address (DNS rebinding). Odd spellings (0x7f.1, 2130706433) need no care of their own: they
    are judged by what they resolve to. Raises OutboundRefused; SourceFailed where the name does not
    resolve, or not within `within` seconds.
    """
    host = host.strip("[]")
    answers: queue.SimpleQueue[list[Endpoint] | None] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, ValueError):
            answers.put(None)
        else:
            answers.put([Endpoint(family, sockaddr) for family, _, _, _, sockaddr in found])

    # getaddrinfo takes no timeout, and the resolver's own can be half a minute.
    threading.Thread(target=look_up, name="xtended-resolve", daemon=True).start()
    try:
        endpoints = answers.get(timeout=max(within, 0))
    except queue.Empty:
        raise SourceFailed(f"Looking up {host!r} took too long.", host=host) from None
    if not endpoints:
        raise SourceFailed(f"The host name {host!r} does not resolve.", host=host)
    policy.check(host, [endpoint.address for endpoint in endpoints])
    return endpoints
