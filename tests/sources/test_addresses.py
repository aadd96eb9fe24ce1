"""Only public addresses, and what the operator allows, may be connected to."""

from __future__ import annotations

import ipaddress
import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xtended.problems import OutboundRefused, SourceFailed
from xtended.sources.addresses import OutboundPolicy, effective_address, resolve, why_not_public

PUBLIC = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::8.8.8.8"]
NOT_PUBLIC = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:a9fe:a9fe",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::8.8.8.8",
    "2001::1",
    "2002:7f00:1::",
    "2001:db8::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_need_no_permission(text):
    OutboundPolicy().check("example.com", [effective_address(text)])


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_an_address_inside_is_refused_by_default(text):
    with pytest.raises(OutboundRefused):
        OutboundPolicy().check("example.com", [effective_address(text)])


@given(st.ip_addresses())
def test_nothing_that_python_calls_private_is_taken_for_public(address):
    address = effective_address(str(address))
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        assert why_not_public(address) is not None


def test_one_bad_address_among_good_ones_is_enough_to_refuse():
    addresses = [ipaddress.ip_address("8.8.8.8"), ipaddress.ip_address("10.0.0.1")]
    with pytest.raises(OutboundRefused):
        OutboundPolicy().check("example.com", addresses)


@pytest.mark.parametrize(
    ("allow", "host", "address"),
    [
        ("10.0.0.0/8", "a.corp", "10.1.2.3"),
        ("10.1.2.3", "a.corp", "10.1.2.3"),
        ("10.0.0.0/8", "a.corp", "::ffff:10.1.2.3"),
        ("fd00::/8", "a.corp", "fd00::1"),
        ("a.corp", "a.corp", "10.1.2.3"),
        ("A.Corp.", "a.corp", "10.1.2.3"),
        ("a.corp", "A.CORP.", "10.1.2.3"),
        ("*.corp", "a.corp", "10.1.2.3"),
        ("*.corp", "b.a.corp", "10.1.2.3"),
    ],
)
def test_the_operator_allows_by_name_and_by_block(allow, host, address):
    OutboundPolicy((allow,)).check(host, [effective_address(address)])


@pytest.mark.parametrize(
    ("allow", "host", "address"),
    [
        ("10.0.0.0/16", "a.corp", "10.1.0.1"),
        ("a.corp", "xa.corp", "10.1.2.3"),
        ("a.corp", "b.a.corp", "10.1.2.3"),
        ("*.corp", "corp", "10.1.2.3"),
        ("*.corp", "evilcorp", "10.1.2.3"),
        ("*.corp", "a.corp.evil", "10.1.2.3"),
    ],
)
def test_what_is_allowed_reaches_no_further(allow, host, address):
    with pytest.raises(OutboundRefused):
        OutboundPolicy((allow,)).check(host, [effective_address(address)])


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost", "[::1]", "0"]
)
def test_loopback_in_any_spelling_is_refused(host):
    with pytest.raises(OutboundRefused):
        resolve(host, 80, policy=OutboundPolicy(), within=5)


def test_a_refusal_names_the_kind_of_address_but_not_the_address(monkeypatch):
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.11.12.13", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: answer)
    with pytest.raises(OutboundRefused) as refused:
        resolve("db.corp", 80, policy=OutboundPolicy(), within=5)
    assert "a private address" in refused.value.detail
    assert "db.corp" in refused.value.detail
    assert "10.11.12.13" not in str(refused.value.body())


def test_a_name_that_does_not_resolve_is_a_failed_source():
    with pytest.raises(SourceFailed, match="does not resolve"):
        resolve("nowhere.invalid", 80, policy=OutboundPolicy(), within=20)


def test_a_name_that_can_not_be_looked_up_is_a_failed_source():
    with pytest.raises(SourceFailed, match="does not resolve"):
        resolve("a" * 70 + ".com", 80, policy=OutboundPolicy(), within=20)


def test_a_resolver_that_hangs_does_not_hang_the_request(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: time.sleep(1) or [])
    with pytest.raises(SourceFailed, match="took too long"):
        resolve("slow.example", 80, policy=OutboundPolicy(), within=0.05)
