"""The page's own script in a real browser: filter, order by the keyboard, and a review that the command takes back."""

import asyncio
import json

import aiohttp
import pytest

from tests.ground.browser import PATIENCE_S, Tab
from tests.ground.report import made
from tests.ground.report.reading import rows, told

pytest.importorskip("pyogrio", reason="the extra [report] is not installed")
pytest.importorskip("jinja2", reason="the extra [report] is not installed")

SHOWN = "[...document.querySelectorAll('#findings-table tbody tr')].filter((row) => !row.hidden)"
NUMBERS = f"return {SHOWN}.map((row) => row.cells[0].innerText.trim()).join(' ')"
DOWNLOADED = """const make = URL.createObjectURL;
    URL.createObjectURL = (blob) => { blob.text().then((text) => { window.downloaded = text; }); return make(blob); };
    document.getElementById('review-save').click(); return true"""


def typed(element, value):
    return f"""const one = document.querySelector("{element}"); one.value = {json.dumps(value)};
        one.dispatchEvent(new Event("input", {{bubbles: true}})); return true"""


def test_filter_order_and_review(flight, browser, tmp_path):
    told(flight, tmp_path / "out")

    async def look():
        async with aiohttp.ClientSession() as session, session.ws_connect(browser, max_msg_size=0) as socket:
            tab = Tab(socket)
            await tab.attach()
            await tab.call("Page.navigate", url=(tmp_path / "out" / "index.html").as_uri())
            await tab.until(f"return document.readyState === 'complete' && {SHOWN}.length === 6")
            assert await tab.until(NUMBERS) == "6 5 4 3 2 1"
            await tab.until(typed("#find-words", "0.50"))
            assert await tab.until(NUMBERS) == "5"
            cards = "return String([...document.querySelectorAll('.finding')].filter((card) => !card.hidden).length)"
            assert await tab.until(cards) == "1"
            await tab.until(typed("#find-words", ""))
            await tab.until(typed("#find-band", "b3"))
            assert await tab.until(NUMBERS) == "6 5"
            await tab.until(typed("#find-band", ""))
            head = "document.querySelectorAll('#findings-table thead [role=button]')[1]"
            for _ in range(2):  # widest first, then narrowest first
                await tab.until(f"{head}.focus(); return document.activeElement === {head}")
                for kind in ("keyDown", "keyUp"):
                    await tab.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r")
            assert await tab.until(NUMBERS) == "1 2 3 4 5 6"
            assert await tab.until(f"return {head}.closest('th').getAttribute('aria-sort')") == "ascending"
            card = f".finding[data-id='{made.name(4)}']"
            await tab.until(typed(f"{card} [name=verdict]", "rejected"))
            await tab.until(typed(f"{card} [name=remark]", "a cable </script>"))
            await tab.until(typed("#review-by", "A. Inspector"))
            await tab.until(DOWNLOADED)
            (tmp_path / "review.json").write_text(await tab.until("return window.downloaded"), encoding="utf-8")
            assert tab.complaints == []

    asyncio.run(asyncio.wait_for(look(), 3 * PATIENCE_S))
    told(flight, tmp_path / "again", review=tmp_path / "review.json")
    one = rows(tmp_path / "again")[made.name(4)]
    assert (one["review"], one["remark"]) == ("rejected", "a cable </script>")
    (said,) = json.loads((tmp_path / "review.json").read_text(encoding="utf-8"))["reviews"]
    assert (said["by"], said["grade"]) == ("A. Inspector", None)
