"""Pictures from drones to the ground over real HTTP: resumed, checked, bounded, and what becomes of the others."""

import contextlib
import dataclasses
import hashlib
import socket
import threading

import pytest

from edge.cli import main
from edge.gallery.shelf import Shelf
from edge.ground.fetch import check
from edge.ground.pictures import Pictures
from edge.ground.pull import Puller
from edge.ground.settings import Drone, PictureOptions
from edge.ground.stores import open_store
from edge.support.errors import ConfigError
from tests.gallery.test_server import PATIENCE_S, PICTURE, SHA256, TOKEN, certificate, flight, gallery, token_file
from tests.ground.letters import clock, crack
from tests.ground.test_store import batch_of

OTHER = b"other picture" * 3000


def sha256_of(data):
    return hashlib.sha256(data).hexdigest()


def showing(number, data, revision=1, **more):
    one = crack(number, revision, **more)
    one["properties"]["best"]["evidence_sha256"] = sha256_of(data)
    return one


@dataclasses.dataclass
class Ground:
    puller: Puller
    store: object
    pictures: Pictures
    clock: object

    def find(self, data):
        path = self.pictures.find(sha256_of(data))
        return None if path is None else path.read_bytes()

    def step(self, after_s=3):
        self.clock.advance(round(after_s * 1e9))
        return self.puller.step()

    @property
    def counts(self):
        return self.puller.counts["drone1"]


@pytest.fixture
def station(tmp_path):
    """A function: the settings of a drone to the ground that fetches from it, one step at a time."""
    with contextlib.ExitStack() as closing:

        def make(url, *, rate_kb_s=10**7, min_free_mb=0, **drone):
            time = clock()
            store = closing.enter_context(open_store(str(tmp_path / "ground.db"), time))
            options = PictureOptions(
                drones={"drone1": Drone(url=url, **drone)}, rate_kb_s=rate_kb_s, min_free_mb=min_free_mb
            )
            pictures = Pictures(tmp_path / "pictures")
            return Ground(Puller(options, store, pictures, time), store, pictures, time)

        yield make


class Odd:
    """A server of bytes: answers each request with the next of its scripts, then closes."""

    def __init__(self, *scripts):
        self._scripts = list(scripts)
        self.heads = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        for script in self._scripts:
            try:
                caller, _ = self._socket.accept()
            except OSError:  # closed: nobody asks any more
                return
            with caller:
                self.heads.append(caller.recv(65536).decode())
                with contextlib.suppress(OSError):
                    for piece in script if isinstance(script, (list, tuple)) else (script,):
                        piece(caller) if callable(piece) else caller.sendall(piece)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes who waits for a caller
        self._socket.close()
        self._thread.join(PATIENCE_S)


def head(status, size, **more):
    more = {"Content-Length": size, **{name.replace("_", "-"): value for name, value in more.items()}}
    lines = [f"HTTP/1.1 {status} x", *(f"{name}: {value}" for name, value in more.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def test_what_cracks_name_comes_over_https_and_only_what_is_lacking(tmp_path, station):
    cert, key = certificate(tmp_path)
    token = token_file(tmp_path)
    flight(tmp_path / "flights", a=PICTURE, b=OTHER, c=b"nobody names it")
    with gallery(Shelf(tmp_path / "flights", None), token_file=token, cert_file=cert, key_file=key) as drone:
        ground = station(f"https://localhost:{drone.port}", token_file=token, ca_file=cert)
        ground.store.add(
            batch_of(
                showing(1, PICTURE), showing(2, PICTURE), showing(3, OTHER),
                showing(4, b"on another drone", vehicle="drone2"), showing(5, b"x", state="withdrawn"),
            )
        )  # fmt: skip
        assert ground.step()
        assert ground.counts.waiting == 1
        assert ground.step()
        assert not ground.step()
        assert (ground.find(PICTURE), ground.find(OTHER)) == (PICTURE, OTHER)
        assert dataclasses.asdict(ground.counts) == {
            "stored": 2, "wrong": 0, "size_bytes": len(PICTURE) + len(OTHER), "waiting": 0, "missing": 0, "away": False,
        }  # fmt: skip
        ground.store.add(batch_of(showing(1, OTHER, revision=2)))  # its best view is now one that is here
        assert not ground.step()
        assert [*(tmp_path / "pictures" / ".parts").iterdir()] == []
        assert ground.puller.health() == []


def test_a_wrong_token_and_a_certificate_that_nobody_knows_are_told(tmp_path, station):
    cert, key = certificate(tmp_path)
    flight(tmp_path / "flights", a=PICTURE)
    with gallery(
        Shelf(tmp_path / "flights", None), token_file=token_file(tmp_path), cert_file=cert, key_file=key
    ) as one:
        (tmp_path / "mine").mkdir()
        wrong = token_file(tmp_path / "mine", "another-token-of-16")
        ground = station(f"https://127.0.0.1:{one.port}", token_file=wrong, ca_file=cert)
        ground.store.add(batch_of(showing(1, PICTURE)))
        assert ground.step()
        assert "does not accept our token (401)" in ground.puller.health()[0]
        assert TOKEN not in ground.puller.health()[0]
        assert not ground.step()  # not again at once
        wrong.write_text(TOKEN)
        unknown = station(f"https://127.0.0.1:{one.port}", token_file=wrong)
        assert unknown.step()
        assert "certificate is not trusted" in unknown.puller.health()[0]
        assert unknown.find(PICTURE) is None


def test_cut_in_the_middle_it_goes_on_from_there(tmp_path, station):
    half = len(PICTURE) // 2
    whole = f"bytes {half}-{len(PICTURE) - 1}/{len(PICTURE)}"
    rest = head(206, len(PICTURE) - half, Content_Range=whole), PICTURE[half:]
    with Odd((head(200, len(PICTURE)), PICTURE[:half]), rest) as drone:
        ground = station(drone.url)
        ground.store.add(batch_of(showing(1, PICTURE)))
        assert ground.step()
        assert (ground.find(PICTURE), ground.counts.away) == (None, True)
        assert ground.step(200)
        assert ground.find(PICTURE) == PICTURE
        assert "Range" not in drone.heads[0]
        assert f"Range: bytes={half}-\r\n" in drone.heads[1]
        assert ground.counts.size_bytes == len(PICTURE) - half  # of what was kept; the first half came with the cut
        assert not ground.counts.away
    part = ground.pictures.part(sha256_of(OTHER))
    part.write_bytes(OTHER[:1000])  # as a ground that was killed leaves it
    flight(tmp_path / "flights", b=OTHER)
    with gallery(Shelf(tmp_path / "flights", None)) as drone:
        ground = station(f"http://127.0.0.1:{drone.port}")
        ground.store.add(batch_of(showing(2, OTHER)))
        assert ground.step()
        assert ground.find(OTHER) == OTHER
        assert ground.counts.size_bytes == len(OTHER) - 1000
        part = ground.pictures.part(SHA256)
        ground.pictures.find(SHA256).unlink()
        part.write_bytes(PICTURE)  # killed between the last byte and the check: nothing is left to ask for
    flight(tmp_path / "flights", "f9", a=PICTURE)
    with gallery(Shelf(tmp_path / "flights", None)) as drone:
        ground = station(f"http://127.0.0.1:{drone.port}")
        assert ground.step()
        assert ground.find(PICTURE) == PICTURE


def test_what_is_not_the_picture_is_refused_by_name_and_asked_for_later(tmp_path, station):
    size = 64 << 20
    with Odd(
        (head(200, len(OTHER)), OTHER),
        (head(200, size + 1),),
        (head(206, 10, Content_Range="bytes 5-14/20"), b"0" * 10),
        (b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",),
        (head(200, len(PICTURE)), PICTURE),
    ) as drone:
        ground = station(drone.url)
        ground.store.add(batch_of(showing(1, PICTURE)))
        assert ground.step()
        assert SHA256 in ground.puller.health()[0]
        assert "something else" in ground.puller.health()[0]
        assert not ground.step(60)
        assert ground.step(600)
        assert "more than the 67108864" in ground.puller.health()[0]
        assert ground.step(700)  # a part that nobody asked for: as if the link were cut
        assert ground.step(700)  # no length
        assert ground.counts.away
        assert (ground.find(PICTURE), ground.find(OTHER)) == (None, None)
        assert [*(tmp_path / "pictures" / ".parts").iterdir()] == []
        assert ground.step(700)
        assert ground.find(PICTURE) == PICTURE
        assert (ground.puller.health(), ground.counts.wrong) == ([], 2)


def test_one_that_is_gone_is_remembered_and_the_others_come(tmp_path, station):
    flight(tmp_path / "flights", a=PICTURE)
    with gallery(Shelf(tmp_path / "flights", None)) as drone:
        ground = station(f"http://127.0.0.1:{drone.port}")
        ground.store.add(batch_of(showing(1, OTHER), showing(2, PICTURE)))
        assert ground.step()
        assert ground.step()
        assert ground.find(PICTURE) == PICTURE
        assert ground.counts.missing == 1
        assert ground.puller.lost("drone1", sha256_of(OTHER))
        assert not ground.puller.lost("drone1", SHA256)
        assert not ground.puller.lost("drone2", sha256_of(OTHER))
        assert not ground.step(1000)
        flight(tmp_path / "flights", "f2", b=OTHER)  # a card was put back
        assert ground.step(3000)
        assert ground.find(OTHER) == OTHER
        assert ground.counts.missing == 0


def test_a_drone_that_drips_is_away_or_asks_for_patience_holds_nobody_up(tmp_path, station, monkeypatch):
    monkeypatch.setattr("edge.ground.fetch.AT_MOST_S", 0.3)
    held = threading.Event()
    with Odd((b"HTTP/1.1 200 x\r\n", lambda _: held.wait(PATIENCE_S)), (head(503, 0, Retry_After="40"),)) as drone:
        ground = station(drone.url)
        ground.store.add(batch_of(showing(1, PICTURE)))
        assert ground.step()  # headers that never end: cut by the clock on the wall, not by silence
        held.set()
        assert ground.counts.away
        assert ground.step(200)
        assert not ground.step(30)
    ground.clock.advance(60 * 10**9)
    for _ in range(4):
        assert ground.step(200)  # nobody listens any more
        assert ground.counts.away
    assert not ground.step(0.5)
    assert ground.puller.health() == []  # a drone that is away is nothing wrong with the ground
    held.set()


def test_any_answer_ends_what_was_said_of_the_drone(tmp_path, station):
    """It was "away", or "did not let us in", until a picture came, however often it said that it has none."""
    denied, absent = (head(401, 0),), (head(404, 0),)
    with Odd(denied, absent) as drone:
        ground = station(drone.url)
        ground.store.add(batch_of(showing(1, PICTURE)))
        assert ground.step()
        assert "does not accept our token" in ground.puller.health()[0]
        ground.puller._drones["drone1"].counts.away = True
        before = ground.puller.news
        assert ground.step(200)
        assert (ground.puller.health(), ground.counts.away, ground.counts.missing) == ([], False, 1)
        assert ground.puller.news == before + 1, "the page is told that it is lost"


def test_what_was_wrong_is_forgotten_with_the_wish_for_it(tmp_path, station):
    with Odd((head(200, len(OTHER)), OTHER)) as drone:
        ground = station(drone.url)
        ground.store.add(batch_of(showing(1, PICTURE)))
        assert ground.step()
        assert "something else" in ground.puller.health()[0]
        ground.store.add(batch_of(showing(1, PICTURE, revision=2, state="withdrawn")))
        assert not ground.step(10)
        assert ground.puller.health() == []


def test_the_rate_and_the_room_are_bounded(tmp_path, station):
    flight(tmp_path / "flights", a=PICTURE)
    with gallery(Shelf(tmp_path / "flights", None)) as drone:
        ground = station(f"http://127.0.0.1:{drone.port}", min_free_mb=10**9)
        ground.store.add(batch_of(showing(1, PICTURE)))
        assert not ground.step()
        assert "less than [pictures] min_free_mb" in ground.puller.health()[0]
        ground = station(f"http://127.0.0.1:{drone.port}", rate_kb_s=10)
        begun_ns = ground.clock.monotonic_ns()
        assert ground.step(0)
        assert (ground.clock.monotonic_ns() - begun_ns) / 1e9 == pytest.approx(len(PICTURE) / 10_000, rel=0.35)
        ground.pictures.find(SHA256).unlink()
        (tmp_path / "pictures" / ".parts").rmdir()
        (tmp_path / "pictures" / ".parts").write_text("in the way")
        ground = station(f"http://127.0.0.1:{drone.port}")
        assert ground.step()
        assert "cannot keep pictures" in ground.puller.health()[0]


def test_what_stands_in_the_configuration_is_checked(tmp_path, capsys):
    config = tmp_path / "ground.toml"
    table = "[pictures.drones.drone1]\n"
    for text, words in (
        (table + 'url = "http://drone1.local:8765"', "allow_plaintext"),
        (table + 'url = "ftp://drone1.local"', "needs an address as https://"),
        (table + 'url = "https://"', "needs an address as https://"),
        (table + 'url = "https://me:word@drone1.local"', "needs an address as https://"),
        (table + 'url = "https://drone1.local"\nca_file = "/nowhere"', "no certificate can be read from /nowhere"),
        (table + 'url = "https://drone1.local"\ntoken_file = "/nowhere"', "token_file: cannot read /nowhere"),
        (table, "url: missing"),
        ("[pictures]\nrate_kb_s = 0", "needs 1 to"),
        (f'[ground]\nstore = "postgresql://h/d"\n{table}url = "https://d"', "name one with [ground] pictures"),
    ):
        config.write_text(text + "\n")
        store = [] if "postgresql" in text else ["--store", str(tmp_path / "g.db")]
        assert main(["ground", "--config", str(config), *store]) == 78
        told = capsys.readouterr().err
        assert words in told
        assert "me:word" not in told
    check(Drone(url="http://127.0.0.1:1"), "d")
    check(Drone(url="http://10.0.0.2:1/under", allow_plaintext=True), "d")
    with pytest.raises(ConfigError):
        check(Drone(url="https://d:99999"), "d")
