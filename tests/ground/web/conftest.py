"""A site over a store of its own, and a client that speaks to it."""

import contextlib
import dataclasses
import http.client
import json
import os
import ssl
from pathlib import Path
from urllib.parse import quote

import pytest

from edge.ground import web
from edge.ground.serve import collector_of, site_of
from edge.ground.settings import read as settings_of
from edge.ground.stores import open_store
from tests.ground.letters import clock


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


class Client:
    def __init__(self, site, store, folder):
        self.site = site
        self.store = store
        self.folder = folder

    def get(self, path, method="GET", host=None, body=None, **headers):
        secure = self.site.url.startswith("https")
        connection = (
            http.client.HTTPSConnection(
                "127.0.0.1", self.site.port, timeout=20, context=ssl._create_unverified_context()
            )
            if secure
            else http.client.HTTPConnection("127.0.0.1", self.site.port, timeout=20)
        )
        with contextlib.closing(connection):
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(
                method, quote(path, safe="/?&=%:,.+"), body, headers=named | ({"Host": host} if host else {})
            )
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())


@pytest.fixture
def serving(tmp_path):
    """A function: settings of [ground] to a client of what is served with them."""
    if not (Path(web.__file__).parent / "leaflet").is_dir():
        what = "Leaflet is not here (make leaflet)"
        pytest.fail(f"{what}, and in CI it must be") if os.environ.get("CI") else pytest.skip(what)
    with contextlib.ExitStack() as closing:

        def serve(**options):
            url, time = str(tmp_path / "ground.db"), clock()
            store = closing.enter_context(open_store(url, time))
            settings = settings_of(None, store=url)
            ground = dataclasses.replace(settings.ground, **{"http": "127.0.0.1:0", **options})
            site = site_of(ground, store, collector_of(settings, store, time), time)
            return Client(closing.enter_context(site), store, tmp_path)

        yield serve


@pytest.fixture
def client(serving):
    return serving()
