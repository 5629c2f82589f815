"""An assistant has no command line: a message to it lacks what is to be typed, and nothing else."""

import pytest

from imagerag.assistants.error_text import without_command


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("there is no run 'a; b': imagerag runs lists them", "there is no run 'a; b'"),
        ("the mask (PNG) has another size: imagerag masks", "the mask (PNG) has another size"),
        ("there is no library 'zoo' (imagerag library lists them); name one", "there is no library 'zoo'; name one"),
        ("there is no library “a. b” (imagerag library list). Name one.", "there is no library “a. b”. Name one"),
        (
            "run X is there: name another id, or imagerag resume X",
            "run X is there: name another id",
        ),
        ("run X waits for a choice: imagerag resume X --select 1,2 (or choose=[])", "run X waits for a choice"),
        (
            "none passes (0.41); imagerag search 'a; b' tells; ask less",
            "none passes (0.41); ask less",
        ),
        ("no such name: imagerag runs; did you mean X?", "no such name; did you mean X?"),
        ("give --cost X, or for good with imagerag prices set (in a file), or no limit", "give --cost X, or no limit"),
        ("choose (see `imagerag show X`) one of 1, 2 (or none)", "choose one of 1, 2 (or none)"),
        ("the user's library isn't there: imagerag index PATH", "the user's library isn't there"),
        ("nothing to be typed (at all); it is so", "nothing to be typed (at all); it is so"),
        ("imagerag doctor tells more. It is broken", "It is broken"),
    ],
)
def test_only_the_clause_with_the_command_is_left_out(said: str, told: str) -> None:
    assert without_command(said) == told
