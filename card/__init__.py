"""Makes a card image that installs spanhawk by itself: Raspberry Pi's own image, with our files in its boot partition.

``image`` reads and writes the image without root, ``settings`` is the TOML that a person edits, ``cloud`` says what
cloud-init reads at the first boot, ``package`` looks at the .deb, ``manifest`` is what Raspberry Pi Imager wants, and
``first-boot.sh`` is what runs on the board. Only the boot partition is written; the root partition is only read.
"""
