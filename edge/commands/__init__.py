"""The commands of ``spanhawk``, one file each: its parser, and the call of the tool that does the work.

A file gives ``add(commands)``, and ``edge.cli`` lists it. ``--help`` must be quick: what a command needs is imported
when it runs, so that no file here imports numpy or a room of the pipeline at its top.
"""
