"""What a broker cannot do, learnt from its answers: it is called again without it."""

from __future__ import annotations

from dataclasses import dataclass

from edge.mqtt.address import Address

# Reason codes (MQTT 5.0, 3.2.2.2).
_RETAIN_NOT_SUPPORTED, _QOS_NOT_SUPPORTED = 0x9A, 0x9B


@dataclass(slots=True)
class Abilities:
    """What a broker can do, as far as it has answered; learnt in one connection for the next."""

    retains: bool = True
    acknowledges: bool = True
    """It takes QoS 1."""

    def shortcoming(self, broker: Address) -> str | None:
        """What it cannot do, as one sentence; None when nothing is missing."""
        found = []
        if not self.retains:
            found.append(
                "keeps no retained messages: a later subscriber sees neither the status nor that this vehicle "
                "vanished (retain_available)"
            )
        if not self.acknowledges:
            found.append("takes QoS 0 only, so letters are confirmed by an answer to what follows them (max_qos)")
        return f"{broker} " + ", and ".join(found) if found else None

    def learn(self, *, retains: bool = True, acknowledges: bool = True) -> bool:
        """Note what it cannot do; returns whether that is news, so that the next connection asks for less."""
        news = (self.retains and not retains) or (self.acknowledges and not acknowledges)
        self.retains, self.acknowledges = self.retains and retains, self.acknowledges and acknowledges
        return news

    def refused(self, reason: int) -> bool:
        """The same of the reason for which a connection was refused."""
        return self.learn(retains=reason != _RETAIN_NOT_SUPPORTED, acknowledges=reason != _QOS_NOT_SUPPORTED)
