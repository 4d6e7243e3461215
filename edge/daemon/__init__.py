"""The daemon: configuration to devices to pipeline, with signals, systemd and the ground in between."""
