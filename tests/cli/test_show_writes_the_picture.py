"""`imagerag show RUN --out FILE`: what a run wrote nowhere, because it was killed, is written later."""

import json
from pathlib import Path

from imagerag.tools.testing.mock_openai import Fault, MockOpenAIServer
from tests.cli.conftest import KNOWN, Imagerag, document, one_line


def test_the_picture_and_its_sidecar_of_any_run_that_ended(imagerag: Imagerag, tmp_path: Path) -> None:
    run = document(imagerag("generate", KNOWN, "--json"))["run_id"]
    shown = imagerag("show", run, "--out", "later.png")
    assert shown.exit_code == 0, shown.stderr
    assert (tmp_path / "later.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "later.png.json").read_text())["run_id"] == run
    assert "later.png" in shown.stderr


def test_what_is_there_is_not_written_over_unasked(imagerag: Imagerag, tmp_path: Path) -> None:
    run = document(imagerag("generate", KNOWN, "--json"))["run_id"]
    (tmp_path / "mine.png").write_bytes(b"mine")
    refused = imagerag("show", run, "--out", "mine.png")
    assert (refused.exit_code, "--overwrite" in one_line(refused)) == (2, True)
    assert (tmp_path / "mine.png").read_bytes() == b"mine"
    assert imagerag("show", run, "--out", "mine.png", "--overwrite").exit_code == 0
    assert imagerag("show", run, "--out", tmp_path).exit_code == 0
    (tmp_path / f"{run}.png").write_bytes(b"mine")
    assert f"{run}.png is there already" in one_line(imagerag("show", run, "--out", tmp_path))
    assert (tmp_path / f"{run}.png").read_bytes() == b"mine"
    assert imagerag("show", run, "--out", tmp_path, "--overwrite").exit_code == 0


def test_the_words_of_a_server_do_not_reach_the_terminal_as_they_are(imagerag: Imagerag) -> None:
    words = "bad \x1b]0;title\x07\x1b[2J \u202eprompt"
    with MockOpenAIServer(lambda _: Fault("forbidden", message=words)) as server:
        for seed in ("1", "2"):
            spec = f"openai:m@{server.base_url}"
            drawn = imagerag("generate", KNOWN, "--generator", spec, "--seed", seed)
            assert (drawn.exit_code, "bad" in drawn.output) == (1, True)
    runs = [run["run_id"] for run in document(imagerag("runs", "--json"))["runs"][:2]]
    for command in (
        ["show", "last"],
        ["show", "last", "--rounds"],
        ["show", "last", "--raw"],
        ["diff", *runs],
        ["runs"],
    ):
        shown = imagerag(*command)
        assert shown.exit_code == 0, shown.output
        assert not {"\x1b", "\x07", "\u202e"} & set(shown.output), command
