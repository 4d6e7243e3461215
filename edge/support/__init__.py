"""What every room stands on: clock, errors, configuration, the board, retries. Knows nothing of cracks or drones."""
