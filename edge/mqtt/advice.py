"""Why there is no connection, in words that help; each completes a sentence that begins with the broker's address."""

from __future__ import annotations

import socket
import ssl

# OpenSSL's X509_V_ERR_* (x509_vfy.h).
_NOT_YET_VALID, _EXPIRED = 9, 10
_OTHER_NAME, _OTHER_ADDRESS = 62, 64

_REFUSED_ADVICE = {
    "Not authorized": "check mqtt.username and mqtt.password_file",
    "Bad user name or password": "check mqtt.username and mqtt.password_file",
    "Bad authentication method": "check mqtt.username and mqtt.password_file",
    "Client identifier not valid": "set another mqtt.client_id",
    "Retain not supported": "it keeps no retained messages; connecting again without the flag",
    "QoS not supported": "it accepts QoS 0 only; connecting again with that",
    "Unsupported protocol version": 'set mqtt.protocol = "3.1.1"',
}
_LOST_ADVICE = {
    "Session taken over": "; another client uses the same mqtt.client_id: give each vehicle a name of its own",
    "Keep alive timeout": "; the broker or the network stopped answering",
    "Packet too large": "; lower mqtt.max_payload_bytes",
    "Protocol error": "; if this broker limits the size of messages, lower mqtt.max_payload_bytes",
}


def unreachable(error: OSError) -> str:
    """Why connecting failed."""
    return f"cannot be reached: {_connecting(error)}"


def _connecting(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted, {error.verify_message}: {_certificate_advice(error.verify_code)}"
    if isinstance(error, (ssl.SSLError, ConnectionResetError)):
        reason = getattr(error, "reason", None) or error.strerror
        return f"no encryption could be agreed on ({reason}); is this its mqtts:// port?"
    if isinstance(error, socket.gaierror):
        return "this name is not known here; check mqtt.url and the network"
    if isinstance(error, ConnectionRefusedError):
        return (
            "nothing listens there; start the broker (mosquitto: with a listener, for other computers), or check host "
            "and port in mqtt.url"
        )
    if isinstance(error, TimeoutError):
        return "no answer; check the network and mqtt.url"
    return error.strerror or str(error)


def _certificate_advice(code: int) -> str:
    if code in (_NOT_YET_VALID, _EXPIRED):
        return "check the clock of this computer (date), then the certificate's dates"
    if code in (_OTHER_NAME, _OTHER_ADDRESS):
        return "write the host in mqtt.url as it is in the certificate"
    return "set mqtt.ca_file to the certificate of the authority that signed it"


def refusal(reason: str) -> str:
    """The broker answered, and refused."""
    return f"refused: {reason}; {_REFUSED_ADVICE.get(reason, 'the log of the broker says more')}"


def loss(reason: str, detail: str) -> str:
    """A connection that was up is over."""
    return f"was connected, then lost: {reason}{detail}{_LOST_ADVICE.get(reason, '')}"


def silence(detail: str, *, encrypted: bool, is_5: bool) -> str:
    """It accepted the connection and closed it before it answered."""
    if encrypted:
        advice = "does it ask for a certificate (mqtt.cert_file)?"
    else:
        advice = 'does it require mqtts://, or mqtt.protocol = "3.1.1"?' if is_5 else "does it require mqtts://?"
    return f"ended the connection without an answer{detail}; is it an MQTT broker, and {advice}"
