"""A PostgreSQL server of Debian's packages in a folder of its own, started and stopped by tests, never as root."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_NOBODY = "postgres"


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        what = "PostgreSQL is not installed (apt install postgresql postgresql-15-postgis-3)"
        pytest.fail(f"{what}, and in CI it must be") if os.environ.get("CI") else pytest.skip(what)
    return found[-1].parent


class Server:
    """One cluster; a socket in its folder is the only way in."""

    def __init__(self, folder: Path) -> None:
        self._bin = _binaries()
        self._folder = folder
        self._data = folder / "data"
        self._as: dict[str, int] = {}
        if os.geteuid() == 0:  # the server refuses to run as root
            user = pwd.getpwnam(_NOBODY)
            self._as = {"user": user.pw_uid, "group": user.pw_gid}
            os.chown(folder, user.pw_uid, user.pw_gid)
        self._run("initdb", "-D", self._data, "-U", "spanhawk", "--auth=trust", "--no-sync", "--encoding=UTF8")
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(f"listen_addresses = ''\nunix_socket_directories = '{folder}'\nport = 5432\n")
            file.write("fsync = off\n")  # tests kill the server, not the machine
        self.url = f"postgresql://spanhawk@/postgres?host={folder}"

    def start(self) -> None:
        """Start it (again) and wait until it answers."""
        self._run("pg_ctl", "-D", self._data, "-w", "-l", self._folder / "log", "start")

    def stop(self, how: str = "immediate") -> None:
        """``immediate`` is what a crash does: nothing is written out, connections break."""
        self._run("pg_ctl", "-D", self._data, "-m", how, "-w", "stop")

    @property
    def pid(self) -> int:
        """Of the process that all others are children of; it must run."""
        return int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])

    def database(self, name: str) -> str:
        """A new, empty database; returns its URL."""
        self._run("createdb", "-h", self._folder, "-U", "spanhawk", name)
        return f"postgresql://spanhawk@/{name}?host={self._folder}"

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self._bin / program), *map(str, arguments)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "cwd": self._folder}
        subprocess.run(command, check=True, timeout=60, **quiet, **self._as)


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """A running server that is gone with the block."""
    folder = Path(tempfile.mkdtemp(prefix="spanhawk-pg-"))  # short: the path of a socket has at most 107 bytes
    try:
        one = Server(folder)
        one.start()
        try:
            yield one
        finally:
            with contextlib.suppress(subprocess.CalledProcessError):  # a test may have stopped it
                one.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
