"""The commands of `framekeep`: one file each, named like the command.

A file has a docstring for ``--help``, ``EXAMPLES``, ``add_arguments(parser)`` and
``run(args, environment)``, which returns the exit status.
"""
