"""A fetch by URL reaches what it may reach, within its limits, and tells no secret."""

from __future__ import annotations

import gzip
import hashlib
import logging
import socket
import threading
import time
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import pytest
from local_servers import redirect, reply

from xtended.problems import BadRequest, OutboundRefused, Problem, SourceFailed, TooLarge
from xtended.sources.outbound import MAX_REDIRECTS, OutboundPolicy, fetch

LOOPBACK = OutboundPolicy(("127.0.0.0/8",))


def get(url, policy=LOOPBACK, timeout=10.0, max_bytes=1_000_000):
    return fetch(url, policy=policy, timeout=timeout, max_bytes=max_bytes)


@pytest.fixture
def names(monkeypatch):
    """A resolver that gives each name the answers in turn, the last one for ever; `asked` counts."""
    real = socket.getaddrinfo
    table: dict[str, list[list[str]]] = {}
    asked: list[str] = []

    def look_up(host, port, *args, **kwargs):
        if host not in table:
            return real(host, port, *args, **kwargs)
        asked.append(host)
        answers = table[host].pop(0) if len(table[host]) > 1 else table[host][0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answers]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return SimpleNamespace(table=table, asked=asked)


@pytest.fixture
def trusted(authority, tmp_path, monkeypatch):
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))


def raw_server(talk):
    """A TCP server that runs `talk(connection)` for its one client; answers its URL."""
    listening = socket.create_server(("127.0.0.1", 0))

    def run():
        with listening:
            connection, _ = listening.accept()
            with connection:
                try:
                    talk(connection)
                except OSError:
                    return

    threading.Thread(target=run, daemon=True).start()
    return f"http://127.0.0.1:{listening.getsockname()[1]}/dag.py"


# What it answers


def test_the_bytes_come_with_their_type_hash_and_host(serve):
    body = b"from airflow.sdk import DAG\n"
    fetched = get(serve(reply(body=body, content_type="Text/X-Python; charset=utf-8")).url())
    assert fetched.content == body
    assert fetched.content_type == "text/x-python"
    assert fetched.sha256 == hashlib.sha256(body).hexdigest()
    assert fetched.host == "127.0.0.1"


def test_a_body_without_a_length_is_taken_to_its_end(serve):
    assert get(serve(reply(body=b"x" * 200_000, content_length="")).url()).content == b"x" * 200_000


def test_a_chunked_body_is_put_together():
    def talk(connection):
        connection.recv(65536)
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        )

    assert get(raw_server(talk)).content == b"abcde"


def test_no_compression_is_asked_for(serve):
    server = serve(reply())
    get(server.url())
    assert server.seen[0][1]["accept-encoding"] == "identity"


def test_a_body_that_is_stored_packed_is_unpacked(serve):
    server = serve(reply(body=gzip.compress(b"x = 1\n"), content_encoding="gzip"))
    assert get(server.url()).content == b"x = 1\n"


# Where it may go


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/a.py", "http://[::1]:1/a.py", "http://2130706433:1/a.py"]
)
def test_loopback_is_refused_by_default(url):
    with pytest.raises(OutboundRefused):
        get(url, policy=OutboundPolicy())


def test_nothing_is_sent_to_a_refused_address(serve):
    server = serve(reply())
    with pytest.raises(OutboundRefused):
        get(server.url(), policy=OutboundPolicy())
    assert server.seen == []


def test_an_address_that_was_checked_is_the_one_connected_to(serve, names):
    good = serve(reply(body=b"good"), address="127.0.0.1")
    inner = serve(reply(body=b"secret"), address="127.0.0.2", port=good.port)
    names.table["rebind.example"] = [["127.0.0.1"], ["127.0.0.2"]]
    fetched = get(good.url(host="rebind.example"), policy=OutboundPolicy(("127.0.0.1",)))
    assert fetched.content == b"good"
    assert fetched.host == "rebind.example"
    assert names.asked == ["rebind.example"]
    assert inner.seen == []
    assert good.seen[0][1]["host"] == f"rebind.example:{good.port}"


def test_a_name_with_one_inner_address_is_refused_as_a_whole(serve, names):
    server = serve(reply())
    names.table["both.example"] = [["127.0.0.1", "10.0.0.1"]]
    with pytest.raises(OutboundRefused):
        get(server.url(host="both.example"))
    assert server.seen == []


def test_the_next_address_is_tried_where_one_does_not_answer(serve, names):
    server = serve(reply(body=b"good"), address="127.0.0.1")
    names.table["two.example"] = [["127.0.0.9", "127.0.0.1"]]
    assert get(server.url(host="two.example")).content == b"good"


def test_an_allowed_name_may_resolve_to_an_inner_address(serve, names):
    server = serve(reply(body=b"good"))
    names.table["dags.corp"] = [["127.0.0.1"]]
    assert get(server.url(host="dags.corp"), policy=OutboundPolicy(("*.corp",))).content == b"good"


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_proxies_of_the_environment_are_not_used(serve, monkeypatch, name):
    proxy, server = serve(reply(body=b"proxied")), serve(reply(body=b"direct"))
    monkeypatch.setenv(name, proxy.url(""))
    assert get(server.url()).content == b"direct"
    assert proxy.seen == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "dag.py",
        "/etc/passwd",
        "file:///etc/passwd",
        "ftp://127.0.0.1/dag.py",
        "gopher://127.0.0.1/",
        "data:text/plain,x",
        "http://",
        "http:///dag.py",
        "http://*.example/dag.py",
        "http://127.0.0.1:99999/",
        "http://[::1/",
        "http://user:hunter2@/dag.py",
    ],
)
def test_what_is_not_an_http_url_is_a_bad_request(url):
    with pytest.raises(BadRequest) as bad:
        get(url)
    assert "hunter2" not in bad.value.detail


# Redirects


def test_a_redirect_is_followed_and_names_the_last_host(serve, names):
    names.table["end.example"] = [["127.0.0.1"]]
    end = serve(reply(body=b"end"))
    for status in (301, 302, 303, 307, 308):
        fetched = get(serve(redirect(end.url(host="end.example"), status)).url())
        assert (fetched.content, fetched.host) == (b"end", "end.example")


def test_a_relative_redirect_is_followed(serve):
    def answer(request):
        (redirect("../b/dag.py") if request.path == "/a/c/dag.py" else reply(body=request.path.encode()))(
            request
        )

    assert get(serve(answer).url("/a/c/dag.py")).content == b"/a/b/dag.py"


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "http://0xa9fea9fe/",
        "//10.0.0.1/",
        "http://[fd00:ec2::254]/",
    ],
)
def test_a_redirect_to_an_inner_address_is_refused(serve, location):
    with pytest.raises(OutboundRefused):
        get(serve(redirect(location)).url())


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://[", "javascript:1"])
def test_a_redirect_to_another_scheme_is_a_failed_source(serve, location):
    with pytest.raises(SourceFailed, match="redirects to something"):
        get(serve(redirect(location)).url())


def test_as_many_redirects_as_promised_are_followed(serve):
    def answer(request):
        hop = int(request.path[1:])
        (redirect(f"/{hop + 1}") if hop < MAX_REDIRECTS else reply(body=b"end"))(request)

    assert get(serve(answer).url("/0")).content == b"end"


def test_a_redirect_loop_ends(serve):
    server = serve(redirect("/again"))
    with pytest.raises(SourceFailed, match="redirected more than 5 times"):
        get(server.url())
    assert len(server.seen) == MAX_REDIRECTS + 1


def test_the_body_of_a_redirect_is_not_read():
    def talk(connection):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    with pytest.raises(SourceFailed, match="Could not connect"):
        get(raw_server(talk), timeout=30)


def test_https_does_not_become_http(serve, tls_for, trusted):
    plain = serve(reply())
    with pytest.raises(OutboundRefused, match="https to http"):
        get(serve(redirect(plain.url()), tls=tls_for("127.0.0.1")).url())
    assert plain.seen == []


# Limits


def test_a_body_of_exactly_the_cap_is_taken(serve):
    assert len(get(serve(reply(body=b"x" * 1000)).url(), max_bytes=1000).content) == 1000


def test_a_body_that_declares_too_much_is_refused_unread():
    def talk(connection):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\n\r\n")
        connection.recv(1)

    with pytest.raises(TooLarge):
        get(raw_server(talk))


def test_a_body_that_never_ends_is_refused_at_the_cap():
    def talk(connection):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    with pytest.raises(TooLarge):
        get(raw_server(talk), timeout=30)


def test_a_gzip_bomb_is_refused_before_it_fills_memory(serve):
    bomb = gzip.compress(bytes(200_000_000))
    assert len(bomb) < 1_000_000
    url = serve(reply(body=bomb, content_encoding="gzip")).url()
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            get(url, max_bytes=1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_bytes_after_a_packed_body_are_not_collected():
    def talk(connection):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"x = 1\n"))
        while True:
            connection.sendall(b"x" * 65536)

    assert get(raw_server(talk), timeout=30).content == b"x = 1\n"


DRIPS = {
    "headers": b"HTTP/1.1 200 OK\r\nX-Slow: ",
    "interim answers": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX-Slow: ",
    "body with a length": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
    "body without a length": b"HTTP/1.1 200 OK\r\n\r\n",
    "chunk size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
}


@pytest.mark.parametrize("start", DRIPS.values(), ids=DRIPS.keys())
def test_a_server_that_drips_bytes_is_cut_off(start):
    def talk(connection):
        connection.recv(65536)
        connection.sendall(start)
        while True:
            connection.sendall(b"1")
            time.sleep(0.05)

    with pytest.raises(SourceFailed, match=r"longer than 0\.5 seconds"):
        get(raw_server(talk), timeout=0.5)


def test_a_server_that_accepts_and_says_nothing_is_cut_off():
    with pytest.raises(SourceFailed, match=r"longer than 0\.3 seconds"):
        get(raw_server(lambda connection: connection.recv(65536) and time.sleep(5)), timeout=0.3)


def test_a_tls_handshake_that_never_comes_is_cut_off(trusted):
    url = raw_server(lambda connection: time.sleep(5)).replace("http:", "https:")
    with pytest.raises(SourceFailed, match=r"longer than 0\.3 seconds"):
        get(url, timeout=0.3)


def test_slow_redirects_share_one_deadline(serve):
    def answer(request):
        time.sleep(0.2)
        redirect("/again")(request)

    with pytest.raises(SourceFailed, match=r"longer than 0\.5 seconds"):
        get(serve(answer).url(), timeout=0.5)


def test_no_thread_or_connection_is_left_over(serve):
    server = serve(reply())
    get(server.url())
    before = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        get(server.url())
    time.sleep(0.1)
    after = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
    assert after[0] <= before[0]
    assert after[1] <= before[1]


# What can be wrong at the other end


@pytest.mark.parametrize("status", [201, 204, 206, 304, 401, 403, 404, 500, 503])
def test_any_status_but_200_is_a_failed_source_that_names_it(serve, status):
    with pytest.raises(SourceFailed, match=str(status)) as failed:
        get(serve(reply(status, b"")).url())
    assert failed.value.extra["source_status"] == status


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/html; charset=utf-8", b"<p>Sign in</p>"),
        ("TEXT/HTML", b"x = 1"),
        ("application/xhtml+xml", b"<p/>"),
        ("text/plain", b"\n<!DOCTYPE html><title>404</title>"),
        ("", b"<html><body>Not found</body></html>"),
    ],
)
def test_a_web_page_is_not_a_dag_file(serve, content_type, body):
    with pytest.raises(SourceFailed, match="a web page, not a DAG file"):
        get(serve(reply(body=body, content_type=content_type)).url())


def test_a_refused_connection_is_a_failed_source():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(SourceFailed, match="Connection refused"):
        get(f"http://127.0.0.1:{port}/dag.py")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nnot gzip",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"x = 1\n" * 100)[:20],
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\nwhatever",
    ],
)
def test_an_answer_that_is_broken_is_a_failed_source(answer):
    def talk(connection):
        connection.recv(65536)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)

    with pytest.raises(SourceFailed):
        get(raw_server(talk))


# TLS


def test_the_certificate_is_checked_against_the_name_and_not_the_address(serve, names, tls_for, trusted):
    names.table["dags.example"] = [["127.0.0.1"]]
    names.table["other.example"] = [["127.0.0.1"]]
    server = serve(reply(body=b"safe"), tls=tls_for("dags.example"))
    assert get(server.url(host="dags.example")).content == b"safe"
    with pytest.raises(SourceFailed, match="not trusted"):
        get(server.url(host="other.example"))
    assert len(server.seen) == 1


def test_the_name_is_sent_to_the_tls_server(serve, names, tls_for, trusted):
    names.table["dags.example"] = [["127.0.0.1"]]
    context, asked = tls_for("dags.example"), []
    context.sni_callback = lambda _, name, __: asked.append(name)
    get(serve(reply(), tls=context).url(host="dags.example"))
    assert asked == ["dags.example"]


def test_an_unknown_authority_is_refused(serve, tls_for):
    with pytest.raises(SourceFailed, match="not trusted"):
        get(serve(reply(), tls=tls_for("127.0.0.1")).url())


# Secrets


def test_credentials_in_the_url_are_used_for_its_origin_alone(serve):
    other = serve(reply())
    server = serve(redirect(other.url()))
    get(server.url(userinfo="us%C3%A9r:p%40ss@"))
    assert server.seen[0][1]["authorization"] == "Basic dXPDqXI6cEBzcw=="
    assert "authorization" not in other.seen[0][1]


def test_credentials_are_kept_on_a_redirect_within_their_origin(serve):
    server = serve(lambda request: (redirect("/b") if request.path == "/a" else reply())(request))
    get(server.url("/a", userinfo="u:p@"))
    assert [headers["authorization"] for _, headers in server.seen] == ["Basic dTpw"] * 2


def test_netrc_is_not_read(serve, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login root password hunter2\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server = serve(reply())
    get(server.url())
    assert "authorization" not in server.seen[0][1]


def failures(serve, tls_for):
    yield serve(reply(404)).url
    yield serve(reply(200, b"x" * 2_000_000)).url
    yield serve(redirect("/again?token=hunter2")).url
    yield serve(redirect("http://root:hunter2@10.0.0.1/?token=hunter2#hunter2")).url
    yield serve(redirect("ftp://root:hunter2@10.0.0.1/")).url
    yield serve(reply(200, b"", content_length="1, 2")).url
    yield serve(reply(200, b"<html>")).url
    yield serve(reply(), tls=tls_for("elsewhere.example")).url


def test_no_secret_of_a_url_reaches_a_problem_or_a_log(serve, tls_for, caplog):
    caplog.set_level(logging.DEBUG)
    for url in failures(serve, tls_for):
        with pytest.raises(Problem) as failed:
            get(url("/dag.py?token=hunter2#hunter2", userinfo="root:hunter2@"))
        assert "hunter2" not in str(failed.value.body())
        assert failed.value.__cause__ is None
        assert failed.value.__suppress_context__ or failed.value.__context__ is None
    get(serve(reply()).url("/dag.py?token=hunter2", userinfo="root:hunter2@"))
    assert "hunter2" not in caplog.text
