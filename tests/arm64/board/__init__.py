"""``make test-arm64-system``: a whole emulated arm64 board, from the card to the power cut."""
