"""A page in a real browser: Chromium, spoken to by its own protocol."""

import json
import os
import shutil
import subprocess

import pytest

PATIENCE_S = 60


@pytest.fixture
def browser(tmp_path):
    """The address of the only tab of a headless Chromium."""
    program = shutil.which("chromium")
    if program is None:
        what = "Chromium is not installed (apt install chromium)"
        pytest.fail(f"{what}, and in CI it must be") if os.environ.get("CI") else pytest.skip(what)
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0")
    process = subprocess.Popen(
        [program, *options, f"--user-data-dir={tmp_path / 'profile'}", "about:blank"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        for line in process.stderr:
            if "DevTools listening on " in line:
                yield line.split()[-1]
                break
        else:
            pytest.fail("Chromium does not start")
    finally:
        process.kill()
        process.communicate()


class Tab:
    def __init__(self, socket):
        self._socket = socket
        self._number = 0
        self._session = {}
        self.complaints = []

    async def call(self, method, **parameters):
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters, **self._session})
        while True:
            told = json.loads((await self._socket.receive(PATIENCE_S)).data)
            if told.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.complaints.append(told["params"])
            if told.get("id") == self._number:
                assert "error" not in told, told
                return told["result"]

    async def attach(self):
        targets = (await self.call("Target.getTargets"))["targetInfos"]
        page = next(one["targetId"] for one in targets if one["type"] == "page")
        attached = await self.call("Target.attachToTarget", targetId=page, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for room in ("Runtime", "Log", "Page"):
            await self.call(f"{room}.enable")

    async def until(self, condition):
        """Wait in the page for what a person would wait for; returns its value."""
        script = f"""new Promise((done, failed) => {{
            const until = Date.now() + {PATIENCE_S * 1000};
            (function look() {{
                const found = (() => {{ {condition} }})();
                if (found) done(found); else if (Date.now() > until) failed(document.body.innerText);
                else setTimeout(look, 50);
            }})();
        }})"""
        found = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"]["value"]
