"""`imagerag eval`: evaluations."""

import click

from imagerag.cli.command_group import FullHelpGroup
from imagerag.cli.eval.comparisons import search_ways_command, sizes_command
from imagerag.cli.eval.judge import judge_command
from imagerag.cli.eval.run import list_command, merge_command, report_command, run_command
from imagerag.cli.eval.score import score_command
from imagerag.cli.eval.studies import human_study_command, study_results_command


@click.group("eval", cls=FullHelpGroup)
def eval_command() -> None:
    """Run and report evaluations."""


_OTHERS = (
    list_command, run_command, merge_command, report_command, score_command, judge_command,
    human_study_command, study_results_command, sizes_command, search_ways_command,
)  # fmt: skip
for _command in _OTHERS:
    eval_command.add_command(_command)
