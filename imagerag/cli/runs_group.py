"""`imagerag runs`: the list, and what is done with runs as a whole."""

from imagerag.cli.runs import runs_command
from imagerag.cli.runs_storage import mark_command, prune_command, remove_command, save_command

__all__ = ["runs_command"]

for _command in (mark_command, save_command, remove_command, prune_command):
    runs_command.add_command(_command)
