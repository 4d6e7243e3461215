"""The page in a real browser: Chromium's own protocol tells what it shows, and that nothing hostile is executed."""

import asyncio
import json

import aiohttp

from edge.detections.cracks import crack_id
from edge.ground import Batch, ReviewRow, StateRow
from tests.ground.browser import PATIENCE_S, Tab
from tests.ground.letters import BEGIN, as_bytes, crack
from tests.ground.test_store import batch_of

HOSTILE = '<img src=x onerror="document.title=666">'


def hostile():
    one = crack(1, 1, vehicle=HOSTILE, flight=HOSTILE)
    one["properties"] |= {"kind": HOSTILE, "best": {"frame_name": HOSTILE, "evidence_sha256": None}}
    status = {
        "schema": "spanhawk/status/1", "vehicle": HOSTILE, "flight_id": HOSTILE, "state": HOSTILE, "reasons": [HOSTILE],
    }  # fmt: skip
    telemetry = {"hint": HOSTILE, "fps": HOSTILE, "fix": 3, "disk_free_mb": 480, "outbox": {"pending": 1}}
    states = [StateRow(HOSTILE, HOSTILE, "status", BEGIN, as_bytes(status))]
    states.append(StateRow(HOSTILE, HOSTILE, "telemetry", BEGIN, as_bytes(telemetry)))
    batch = batch_of(one, crack(2, 1), crack(3, 1, path=None))
    batch.states += states
    return batch


def wide(number, width_mm, state):
    one = crack(number, 1, state=state)
    one["properties"] |= {"width_mm": {"value": width_mm}, "width_at_most_mm": None}
    return one


def test_it_shows_what_arrives_and_executes_nothing_of_it(client, browser):
    client.store.add(hostile())

    async def look():
        async with aiohttp.ClientSession() as session, session.ws_connect(browser, max_msg_size=0) as socket:
            tab = Tab(socket)
            await tab.attach()
            await tab.call("Page.navigate", url=client.site.url)
            text = "document.getElementById('{}').innerText"
            three = f"document.querySelectorAll('#list li').length === 3 && {text.format('list')}"
            words = await tab.until(f"return {three}")
            assert HOSTILE in words
            assert "≤ 0.40 mm" in words
            assert "place not known" in words
            assert "no band" in await tab.until(f"return {text.format('legend')}")
            counts = f"{text.format('counts')}.includes('drone') && {text.format('counts')}"
            assert await tab.until(f"return {counts}") == "1 drone, 0 flying, 2 flights shown"
            assert "0.5 GB free, 1 letter waiting" in await tab.until(f"return {text.format('vehicles')}")
            alarm = await tab.until("return document.getElementById('alarm').innerText")
            assert HOSTILE in alarm
            client.store.add(batch_of(crack(4, 1), crack(2, 2, state="withdrawn")))  # it comes by itself
            words = await tab.until(f"return {three}.includes('crack 4') && {text.format('list')}")
            assert "crack 2" not in words
            await tab.until("document.querySelector('#list button').click(); return true")
            shown = await tab.until(f"return document.getElementById('detail').open && {text.format('detail')}")
            assert "at most" in shown
            seen = await tab.until("return new Date('2026-05-01T12:01:00Z').toLocaleString()")
            assert f"last seen\n{seen}" in shown.replace("\t", "\n"), "in the reader's own time, as in the list"
            form = "document.getElementById('review')"
            said = "{verdict: 'rejected', grade: 'S2', remark: '<img src=x onerror=1>', by: 'A. Inspector'}"
            await tab.until(f"""for (const [name, value] of Object.entries({said})) {form}.elements[name].value = value;
                {form}.requestSubmit(); return true""")
            await tab.until("return document.getElementById('review-told').innerText.startsWith('kept: rejected')")
            # The list is drawn in the browser's next frame, after the answer is told.
            await tab.until(f"return {text.format('list')}.includes('rejected, grade S2, by A. Inspector')")
            (kept,) = client.store.reviews()
            assert (kept.verdict, kept.remark) == ("rejected", "<img src=x onerror=1>")
            assert await tab.until(f"return {text.format('link')} === 'live'")
            assert await tab.until("return document.title") == "spanhawk ground"
            assert await tab.until("return String(document.querySelectorAll('img[src=x]').length)") == "0"
            order = "document.getElementById('order').value = 'widest'; document.getElementById('order')"
            await tab.until(f"{order}.dispatchEvent(new Event('change')); return true")
            client.store.add(batch_of(wide(5, 9.0, "tentative"), wide(6, 0.3, "confirmed"), wide(7, 0.7, "confirmed")))
            first = "document.querySelector('#list li').innerText"
            assert "crack 7" in await tab.until(f"return {first}.includes('0.70 mm') && {first}")
            numbers = "[...document.querySelectorAll('#list .small')].map((one) => one.innerText).join()"
            words = await tab.until(f"return {numbers}.includes('crack 5') && {numbers}")
            # A piece that is not confirmed comes last, however wide it looks.
            assert words.index("crack 7") < words.index("crack 6") < words.index("crack 4") < words.index("crack 5")
            for number, verdict in ((7, "rejected"), (5, "confirmed")):  # a person's word counts more, as in the report
                row = ReviewRow("drone1", "f1", crack_id("drone1", "f1", number), verdict, None, None, None, BEGIN)
                client.store.add(Batch(reviews=[row]))
            words = await tab.until(f"return {first}.includes('crack 5') && {numbers}")
            assert words.index("crack 5") < words.index("crack 6") < words.index("crack 4") < words.index("crack 7")
            resources = "performance.getEntriesByType('resource').map((one) => new URL(one.name).host)"
            hosts = await tab.until(f"return {resources}")
            assert set(hosts) == {f"127.0.0.1:{client.site.port}"}  # no network beyond the ground
            assert [one for one in tab.complaints if "404" not in json.dumps(one)] == []

    asyncio.run(asyncio.wait_for(look(), 3 * PATIENCE_S))


def test_a_page_that_is_kept_for_back_gives_its_stream_up_and_takes_it_up_again(client, browser):
    kept = """window.streams = []; window.EventSource = class extends EventSource {
        constructor(url) { super(url); window.streams.push(this); } };"""

    async def look():
        async with aiohttp.ClientSession() as session, session.ws_connect(browser, max_msg_size=0) as socket:
            tab = Tab(socket)
            await tab.attach()
            await tab.call("Page.addScriptToEvaluateOnNewDocument", source=kept)
            await tab.call("Page.navigate", url=client.site.url)
            await tab.until("return window.streams.length === 1 && window.streams[0].readyState === 1")
            await tab.until("window.dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true})); return true")
            await tab.until("return window.streams[0].readyState === 2")
            await tab.until("window.dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true})); return true")
            await tab.until("return window.streams.length === 2 && window.streams[1].readyState === 1")
            assert tab.complaints == []

    asyncio.run(asyncio.wait_for(look(), 3 * PATIENCE_S))
