"""The drone's pictures over real HTTP and HTTPS: what is handed out, to whom, and what cannot hold it up."""

import contextlib
import hashlib
import http.client
import json
import socket
import ssl
import subprocess
import threading

import pytest

from edge.cli import main
from edge.flights.writer import FlightWriter
from edge.gallery import Options
from edge.gallery.server import Gallery
from edge.gallery.shelf import Shelf
from edge.support.clock import UTC, ManualClock, SystemClock
from edge.support.errors import ConfigError
from tests.ground.letters import BEGIN

PATIENCE_S = 20
TOKEN = "0123456789abcdef"
PICTURE = bytes(range(256)) * 400
SHA256 = hashlib.sha256(PICTURE).hexdigest()


class Evidence:
    def __init__(self, file, sha256):
        self.file = file
        self.sha256 = sha256


def flight(root, name="f1", **pictures):
    """A flight folder as the daemon writes it, not sealed yet."""
    writer = FlightWriter(root / name, ManualClock(BEGIN), name)
    (root / name / "photos").mkdir()
    for number, (file, data) in enumerate(pictures.items()):
        (root / name / "photos" / f"{file}.jpg").write_bytes(data)
        seen = Evidence(f"{file}.jpg", hashlib.sha256(data).hexdigest())
        writer.frame([], seen, number, BEGIN.astimezone(UTC), changed=False)
    writer.close()
    return root / name


def token_file(folder, text=TOKEN):
    path = folder / "pictures.token"
    path.write_text(text + "\n")
    path.chmod(0o600)
    return path


def certificate(folder):
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {key} -out {cert}"
    command += " -subj /CN=drone1 -addext subjectAltName=IP:127.0.0.1,DNS:localhost"
    subprocess.run(command.split(), check=True, capture_output=True)
    return cert, key


@contextlib.contextmanager
def gallery(shelf, *, clock=None, flying=lambda: False, **options):
    options = Options(**{"listen": "127.0.0.1:0", "rate_kb_s": 100_000, **options})
    with Gallery(options, shelf, clock or SystemClock(), flying=flying) as one:
        assert one.wait_until_listening(PATIENCE_S)
        yield one


def ask(port, path, method="GET", context=None, **headers):
    connection = (
        http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        if context is None
        else http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE_S, context=context)
    )
    with contextlib.closing(connection):
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}


def raw(port, data):
    """All that comes back for these bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as one:
        one.sendall(data)
        received = b""
        with contextlib.suppress(ConnectionError):
            while piece := one.recv(65536):
                received += piece
        return received


def ended(connection):
    """Whether the other side has closed, which may also be told as a reset."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def test_pictures_of_flights_by_their_sha256_and_nothing_else(tmp_path):
    folder = flight(tmp_path, a=PICTURE, b=b"other")
    outside = tmp_path / "secret.jpg"
    outside.write_bytes(b"secret")
    (folder / "photos" / "link.jpg").symlink_to(outside)
    with (folder / "manifest.jsonl").open("ab") as file:  # a manifest that was written by somebody else
        for name in ("photos/link.jpg", "photos/../../secret.jpg", "summary.json"):
            told = {"kind": "file", "file": name, "bytes": 6, "sha256": hashlib.sha256(b"secret").hexdigest()}
            file.write(json.dumps(told, separators=(",", ":")).encode() + b"\n")
        file.write(b'{"kind":"file","file":3}\n{"kind":"file"\n')
    with gallery(Shelf(tmp_path, None)) as one:
        at = f"/pictures/{SHA256}"
        status, body, headers = ask(one.port, at)
        assert (status, body, headers["content-type"]) == (200, PICTURE, "image/jpeg")
        status, body, headers = ask(one.port, at, Range="bytes=1000-")
        assert (status, body) == (206, PICTURE[1000:])
        assert headers["content-range"] == f"bytes 1000-{len(PICTURE) - 1}/{len(PICTURE)}"
        assert ask(one.port, at, Range="bytes=10-19")[:2] == (206, PICTURE[10:20])
        assert ask(one.port, at, Range=f"bytes={len(PICTURE)}-")[0] == 416
        assert ask(one.port, at, Range="bytes=9-3")[:2] == (200, PICTURE)  # no range at all: passed over
        status, body, headers = ask(one.port, at, method="HEAD")
        assert (status, body, headers["content-length"]) == (200, b"", str(len(PICTURE)))
        plain = raw(one.port, f"HEAD {at}x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        assert plain.startswith(b"HTTP/1.1 404")
        assert plain.endswith(b"\r\n\r\n"), "HEAD has no body, also where it is an error"
        secret = hashlib.sha256(b"secret").hexdigest()
        for path in (
            f"/pictures/{secret}", f"/pictures/{SHA256.upper()}", f"{at}.jpg", f"{at}?x=1", "/", "/pictures/",
            "/pictures/..%2f..%2fsecret.jpg", "/pictures/../secret.jpg", "//etc/passwd", f"/pictures/{'0' * 64}",
        ):  # fmt: skip
            status, body, _ = ask(one.port, path)
            assert (status, json.loads(body)["code"]) == (404, "404")
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            assert ask(one.port, at, method=method)[0] == 405
        assert ask(one.port, at, Host="evil.example")[0] == 403
        # A picture that comes later is found, one that was pruned is gone.
        later = flight(tmp_path, "f2", c=b"later")
        name = f"/pictures/{hashlib.sha256(b'later').hexdigest()}"
        assert ask(one.port, name)[:2] == (200, b"later")
        (later / "photos" / "c.jpg").unlink()
        assert ask(one.port, name)[0] == 404


def test_pictures_of_all_detections_have_no_manifest_and_are_read_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("edge.gallery.shelf._AT_ONCE_BYTES", 10)
    for number in range(4):
        (tmp_path / f"{number}.jpg").write_bytes(b"%d" % number * 20)
    with gallery(Shelf(None, tmp_path)) as one:
        last = f"/pictures/{hashlib.sha256(b'3' * 20).hexdigest()}"
        told = [ask(one.port, last) for _ in range(4)]
        assert [status for status, _, _ in told] == [503, 503, 503, 200]
        assert told[0][2]["retry-after"] == "2"
        assert ask(one.port, f"/pictures/{'0' * 64}")[0] == 404


def test_who_may_have_them(tmp_path):
    cert, key = certificate(tmp_path)
    flight(tmp_path, a=PICTURE)
    guarded = {"token_file": token_file(tmp_path), "cert_file": cert, "key_file": key}
    trusting = ssl.create_default_context(cafile=cert)
    with gallery(Shelf(tmp_path, None), **guarded) as one:
        at = f"/pictures/{SHA256}"
        for headers in ({}, {"Authorization": "Bearer " + TOKEN[:-1]}, {"Authorization": "Bearer"}):
            status, body, _ = ask(one.port, at, context=trusting, **headers)
            assert status == 401
            assert TOKEN not in body.decode()
        bearer = {"Authorization": f"Bearer {TOKEN}", "Host": "drone1.example"}
        assert ask(one.port, at, context=trusting, **bearer)[:2] == (200, PICTURE)
        with pytest.raises(ssl.SSLCertVerificationError):
            ask(one.port, at, context=ssl.create_default_context(), **bearer)
        assert PICTURE[:100] not in raw(
            one.port, f"GET {at} HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
        )
    for options, words in (
        ({"listen": "0.0.0.0:8765"}, r"\[pictures\] token_file and cert_file"),
        ({"listen": "0.0.0.0:8765", "token_file": cert}, "cert_file"),
        ({"listen": "192.168.1.9:8765", "cert_file": cert}, "token_file"),
        ({"listen": "8765"}, "pictures.listen: got '8765', needs HOST:PORT"),
        ({"key_file": key, "listen": "127.0.0.1:1"}, "pictures.key_file is given without cert_file"),
    ):
        with pytest.raises(ConfigError, match=words):
            Options(**options)
    Options(listen="0.0.0.0:8765", token_file=cert, allow_plaintext=True)
    with pytest.raises(ConfigError, match=r"pictures\.token_file.*16 or more"):
        Gallery(Options(listen="127.0.0.1:0", token_file=token_file(tmp_path, "short")), Shelf(None, None),
                SystemClock(), flying=lambda: False)  # fmt: skip


def test_the_configuration_is_checked_before_anything_flies(tmp_path, capsys):
    config = tmp_path / "spanhawk.toml"
    for text, words in (
        ('[pictures]\nlisten = "127.0.0.1:8765"', "folder_dir"),
        ('[flight]\nfolder_dir = "/x"\n[pictures]\nlisten = "0.0.0.0:8765"', "token_file"),
        ("[pictures]\nrate_kb_s = 0", "rate_kb_s must be 1"),
        ("[pictures]\nrate = 5", "unknown key"),
    ):
        config.write_text(text + "\n")
        assert main(["config", "check", str(config)]) == 78
        assert words in capsys.readouterr().err
    config.write_text('[flight]\nfolder_dir = "/x"\n[pictures]\nlisten = "127.0.0.1:8765"\n')
    assert main(["config", "check", str(config)]) == 0
    assert main(["config", "show", "--config", str(config)]) == 0
    assert 'listen = "127.0.0.1:8765"' in capsys.readouterr().out


def test_while_cracks_are_looked_for_pictures_wait(tmp_path):
    flight(tmp_path, a=PICTURE)
    flying = threading.Event()
    flying.set()
    with gallery(Shelf(tmp_path, None), flying=flying.is_set) as one:
        status, body, headers = ask(one.port, f"/pictures/{SHA256}")
        assert (status, headers["retry-after"]) == (503, "30")
        assert "stop" in json.loads(body)["description"]
        flying.clear()
        assert ask(one.port, f"/pictures/{SHA256}")[0] == 200
        flying.set()
    with gallery(Shelf(tmp_path, None), flying=flying.is_set, while_flying=True) as one:
        assert ask(one.port, f"/pictures/{SHA256}")[0] == 200


def test_what_is_no_request_is_refused_and_what_is_slow_is_cut(tmp_path):
    flight(tmp_path, a=PICTURE)
    clock = ManualClock(BEGIN)
    with gallery(Shelf(tmp_path, None), clock=clock) as one:
        assert b" 400 " in raw(one.port, b"\x16\x03\x01\x02\x00\r\n\r\n")
        assert b" 400 " in raw(one.port, b"GET /pictures HTTP/9.9\r\n\r\n")
        assert b" 431 " in raw(one.port, b"GET / HTTP/1.1\r\nX: " + b"a" * 8190)
        assert b" 400 " in raw(one.port, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 120 + b"\r\n")
        while one._callers:  # their threads end a moment after their sockets
            threading.Event().wait(0.01)
        held = [socket.create_connection(("127.0.0.1", one.port), timeout=PATIENCE_S) for _ in range(4)]
        for caller in held:
            caller.sendall(b"GET /pict")  # and never the rest
        turned_away = socket.create_connection(("127.0.0.1", one.port), timeout=PATIENCE_S)
        assert ended(turned_away)  # four at a time
        clock.advance(11_000_000_000)
        for caller in held:
            assert ended(caller)
            caller.close()
        turned_away.close()
        # Their threads end a moment after their sockets: the fifth is let in as soon as one has.
        until = SystemClock()
        for _ in range(200):
            with contextlib.suppress(http.client.HTTPException, ConnectionError):
                assert ask(one.port, f"/pictures/{SHA256}")[:2] == (200, PICTURE)
                break
            until.wait(threading.Event(), 0.05)
        else:
            pytest.fail("nobody is let in any more")


def test_the_rate_is_bounded_for_all_together(tmp_path):
    flight(tmp_path, a=PICTURE)
    clock = ManualClock(BEGIN)
    with gallery(Shelf(tmp_path, None), clock=clock, rate_kb_s=10) as one:
        begun_ns = clock.monotonic_ns()
        for _ in range(3):
            assert ask(one.port, f"/pictures/{SHA256}")[1] == PICTURE
        took_s = (clock.monotonic_ns() - begun_ns) / 1e9  # a manual clock: every wait is counted, none is waited out
        assert took_s == pytest.approx(3 * len(PICTURE) / 10_000, rel=0.15)


def test_an_address_that_is_not_there_yet_ends_nothing(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        options = Options(listen=f"127.0.0.1:{taken.getsockname()[1]}")
        with Gallery(options, Shelf(tmp_path, None), ManualClock(BEGIN), flying=lambda: False) as one:
            assert not one.wait_until_listening(0.05)
            assert "cannot listen at" in one.health()
            taken.close()
            assert one.wait_until_listening(PATIENCE_S)
            assert one.health() is None
