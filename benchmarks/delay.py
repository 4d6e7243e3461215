"""A TCP link that is slow to answer and not narrow: every byte is held for a while, as on a radio far away."""

from __future__ import annotations

import asyncio
import threading


class Delay:
    """Listens on ``port`` of this machine and passes everything on to another port, ``one_way_s`` later."""

    def __init__(self, to_port: int, one_way_s: float) -> None:
        self._to_port = to_port
        self._one_way_s = one_way_s
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port = 0

    def __enter__(self) -> Delay:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        # Stopped: what is still being passed on ends with it.
        passing = asyncio.all_tasks(self._loop)
        for task in passing:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*passing, return_exceptions=True))
        server.close()
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        await asyncio.gather(self._pass(reader, there_writer), self._pass(there_reader, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            self._loop.call_later(self._one_way_s, writer.write, data)
        self._loop.call_later(self._one_way_s, writer.close)
