"""The verbs of other programs, in every group of commands: the error names the command that was meant."""

from collections.abc import Callable
from types import MappingProxyType

import click
import pytest
from click.testing import CliRunner, Result

from imagerag.cli import main
from imagerag.cli.command_group import _SAME, VERBS, FullHelpGroup, _find

MEANT = MappingProxyType(
    {
        "library delete shop": "'remove'",
        "library rm shop": "'remove'",
        "library ls": "'list'",
        "library create shop": "'imagerag index'",
        "library search red": "'imagerag search'",
        "library show shop": "'info'",
        "library removee shop": "'remove'",
        "library snapshot delete shop v1": "'remove'",
        "library backup shop": "'export'",
        "runs delete last": "'remove'",
        "runs rm last": "'remove'",
        "runs list": "'imagerag runs'",
        "runs show last": "'imagerag show'",
        "threads ls": "'imagerag threads'",
        "threads delete x": "'remove'",
        "prices add m": "'set'",
        "eval ls": "'list'",
        "rm x": "'imagerag library remove' or 'imagerag runs remove'",
        "ls": "'library list' or 'runs'",
        "create x": "'index' or 'generate'",
        "genrate x": "'generate'",
    }
)


@pytest.mark.parametrize("typed", MEANT)
def test_a_verb_of_another_program_names_the_command(imagerag: Callable[..., Result], typed: str) -> None:
    result = imagerag(*typed.split())
    assert result.exit_code == 2
    assert f"; did you mean {MEANT[typed]}? There are: " in result.stderr


def test_a_word_that_is_no_verb_names_what_there_is(imagerag: Callable[..., Result]) -> None:
    for typed in ("xyzzy", "library xyzzy", "runs xyzzy"):
        assert "no command 'xyzzy'; there are: " in imagerag(*typed.split()).stderr


def test_every_group_suggests_and_every_suggestion_exists() -> None:
    def groups(group: click.Group) -> list[click.Group]:
        context = click.Context(group)
        inner = [group.get_command(context, name) for name in group.list_commands(context)]
        return [group, *(deeper for one in inner if isinstance(one, click.Group) for deeper in groups(one))]

    every = groups(main)
    assert [one.name for one in every if not isinstance(one, FullHelpGroup)] == []
    assert set(_SAME.values()) <= VERBS.keys()
    commands = {command for several in VERBS.values() for command in several}
    lost = [one for one in commands if not any(_find(group, click.Context(group), one) for group in every)]
    assert lost == []
    assert CliRunner().invoke(main, ["--help"]).exit_code == 0
