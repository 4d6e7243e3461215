"""What proves who is who: certificates, and the password from its file."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Any

from edge.support.errors import ConfigError
from edge.support.secret import read_secret

log = logging.getLogger(__name__)

_MOST_BYTES = 65_535


class Context(ssl.SSLContext):
    """A client context that can close the socket whose handshake failed; the MQTT library loses sight of it."""

    _last: ssl.SSLSocket | None = None

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """As in ``ssl.SSLContext``."""
        self._last = super().wrap_socket(*args, **kwargs)
        return self._last

    def close_last(self) -> None:
        """Close the socket wrapped last."""
        if self._last is not None:
            self._last.close()
            self._last = None


def tls_context(ca_file: Path | None, cert_file: Path | None, key_file: Path | None) -> Context:
    """A client context that checks the broker's certificate and name.

    ``ca_file`` None: the system's authorities; ``key_file`` None: the key stands in ``cert_file``. Raises ConfigError.
    """
    context = Context(ssl.PROTOCOL_TLS_CLIENT)  # checks certificate and name
    if ca_file is None:
        context.load_default_certs()
    else:
        _load_authorities(context, ca_file)
    if cert_file is not None:
        _load_certificate(context, cert_file, key_file)
    elif key_file is not None:
        raise ConfigError("mqtt.key_file is given without mqtt.cert_file; give the certificate that belongs to it")
    return context


def read_password(path: Path) -> str:
    """The first line of ``path``. Raises ConfigError, which never shows what the file holds."""
    password = read_secret(path, "mqtt.password_file")
    if not password.text:
        raise ConfigError(f"mqtt.password_file: the first line of {path} is empty; write the password there")
    size = len(password.text.encode())
    if size > _MOST_BYTES:
        raise ConfigError(f"mqtt.password_file: the first line of {path} has {size} bytes, MQTT takes {_MOST_BYTES}")
    if password.open_to_all:
        log.warning("%s can be read by every user of this machine; chmod 600 it", path)
    return password.text


def _load_authorities(context: ssl.SSLContext, ca_file: Path) -> None:
    try:
        context.load_verify_locations(cafile=ca_file)
    except ssl.SSLError as error:
        raise ConfigError(f"mqtt.ca_file: {ca_file} holds no certificate in PEM form ({error.reason})") from error
    except OSError as error:
        raise ConfigError(f"mqtt.ca_file: cannot read {ca_file} ({error.strerror})") from error


def _load_certificate(context: ssl.SSLContext, cert_file: Path, key_file: Path | None) -> None:
    for key, path in (("cert_file", cert_file), ("key_file", key_file)):
        if path is not None:
            _check_readable(key, path)
    key_name = f"mqtt.key_file {key_file}" if key_file else "the key in the same file"
    try:
        # An encrypted key would otherwise ask for its password on the terminal, and wait without end.
        context.load_cert_chain(cert_file, key_file, password=lambda: "")
    except ssl.SSLError as error:
        advice = "does not belong to it" if "MISMATCH" in str(error) else "must be PEM files, the key not encrypted"
        raise ConfigError(
            f"mqtt.cert_file {cert_file} and {key_name}: {advice} ({error.reason or 'no key could be read'})"
        ) from error


def _check_readable(key: str, path: Path) -> None:
    try:
        with path.open("rb"):
            return
    except OSError as error:
        raise ConfigError(f"mqtt.{key}: cannot read {path} ({error.strerror})") from error
