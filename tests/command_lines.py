"""Every command of the program with arguments that work, in a place where all of them do something.

The commands come from the program itself: one that is new, and takes an argument that is not known here, fails the
tests that use this until it is.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import click
from click.testing import CliRunner, Result

from imagerag.cli import main
from imagerag.evals.human_study.pairs import QUESTIONS
from imagerag.evals.human_study.study_files import SCHEMA
from imagerag.tools.testing.mock_openai import MockOpenAIServer, SketchResponder, tiny_png
from tests.conftest import copied

PROMPT = "a red solid heart and a blue split crescent on a mint background"
"""What the sketch world's painter cannot draw without the library."""

THREAD = "talk"
"""The thread of a question that was answered."""

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "demo": ("--out", "{root}/demo"),
    "generate": ("--out", "{root}/drawn.png"),
    "index": ("--library", "shop", "--embedder", "sketch"),
    "library add": ("--caption", "a small picture"),
    "library remove": ("--whole-library", "--yes"),
    "library migrate": ("--drop-other", "--yes"),
    "library update": ("--caption", "a small picture", "--yes"),
    "library snapshot remove": ("--yes",),
    "library snapshot restore": ("--yes",),
    "library export": ("--format", "folder"),
    "runs save": ("--out", "{root}/saved"),
    "runs mark": ("--favourite",),
    "runs remove": ("--yes",),
    "runs prune": ("--keep", "1", "--yes"),
    "threads remove": ("--yes",),
    "threads prune": ("--keep", "0", "--yes"),
    "resume": ("--select", "1"),
    "continue": ("--prompt", "a red solid heart on a mint background"),
    "replay": ("--from", "2", "--seed", "9", "--no-cache"),
    "report": ("--out", "{root}/report.html"),
    "prices set": ("--free",),
    "ask": ("--library", "sketch"),
    "search": ("--library", "sketch"),
    "eval run": ("--arms", "base,full", "--metrics", "work", "--library", "sketch", "--quiet"),
    "eval judge": ("--classes", "2", "--library", "sketch"),
    "library check": ("--queries", "16"),
    "eval score": ("--metrics", "work"),
    "eval human-study": ("--overwrite",),
    "eval search": ("--ways", "cosine", "--queries", "4"),
    "eval sizes": ("--library", "sketch", "--sizes", "8,16", "--metrics", "text:independent", "--limit", "1", "-q"),
}
"""Further options, for speed or because a command does nothing without."""

ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "prompt": (PROMPT,),
    "prompts": ("{root}/prompts.jsonl",),
    "paths": ("{root}/pictures",),
    "query": ("a red heart",),
    "image": ("{root}/pictures/first.png",),
    "texts": ("a red heart",),
    "words": ("klein",),
    "question": ("how many pictures are there?",),
    "name": ("{library}",),
    "new": ("renamed",),
    "tag": ("v1",),
    "image_files": ("{root}/pictures/first.png",),
    "images": ("{images}",),
    "library": ("{library}",),
    "run": ("{run}",),
    "runs": ("{run}",),
    "thread": (THREAD,),
    "threads": (THREAD,),
    "a": ("{run}",),
    "b": ("{run}",),
    "folder": ("{root}/evaluation",),
    "folders": ("{root}/evaluation",),
    "files": ("{root}/answers.json",),
    "suite": ("prompts:{root}/prompts.jsonl",),
    "models": (),
    "model": ("loopback@127.0.0.1",),
    "file": ("{root}/imagerag.toml",),
    "out": ("{root}/out-{command}",),
    "metrics": (),
    "step": (),
}
"""What each argument, and each option that has to be given, can be."""

SNAPSHOTS = tuple(f"library snapshot {each}" for each in ("create", "list", "remove", "restore"))

CHANGES = ("library add", "library migrate", "library remove", "library rename", "library update", *SNAPSHOTS)
"""Commands that change a library, which is the one of `index`: the built-in one cannot be changed."""


def commands(command: click.Command = main, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by name."""
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            found = command.get_command(click.Context(command), name)
            assert found is not None
            yield from commands(found, (*path, name))
    else:
        yield " ".join(path), command


COMMANDS: Mapping[str, click.Command] = dict(commands())


@dataclass(frozen=True)
class Place:
    """A home and what else commands need.

    Attributes:
        root: the folder of everything; the home is in it.
        run: a run that ended.
        waiting: one that waits for a choice.
        url: where its generator and its judge are.
    """

    root: Path
    run: str
    waiting: str
    url: str

    @property
    def home(self) -> Path:
        return self.root / "home"

    def at(self, root: Path) -> "Place":
        """A copy of everything, elsewhere."""
        shutil.copytree(self.root, root, dirs_exist_ok=True)
        return Place(root, self.run, self.waiting, self.url)

    def line(self, name: str) -> list[str]:
        """A command with all that it needs."""
        words = name.split()
        for parameter in COMMANDS[name].params:
            if isinstance(parameter, click.Argument):
                words += ARGUMENTS[str(parameter.name)]
            elif parameter.required and ARGUMENTS[str(parameter.name)]:
                words += [parameter.opts[0], *ARGUMENTS[str(parameter.name)]]
        known = {
            "root": self.root,
            "run": self.waiting if name == "resume" else self.run,
            "command": name.replace(" ", "-"),
            "library": "shop" if name in CHANGES else "sketch",
            "images": self.root / "pictures",
        }
        whole = [word for word in words if word != "{images}" or name != "library remove"]
        return [word.format(**known) for word in (*whole, *OPTIONS.get(name, ()))]

    def invoke(self, *words: str, home: Path | None = None) -> Result:
        """Run a command in this process, with the backends of the place, and with nothing on its stdin."""
        model = f"openai:loopback@{self.url}"
        told = {"GENERATOR": model, "JUDGE": model, "EMBEDDER": "sketch", "LIBRARY": "sketch", "DEBUG": ""}
        environment = {f"IMAGERAG_{name}": value for name, value in told.items()}
        with mock.patch.dict(os.environ, environment):
            return CliRunner().invoke(main, ["--home", str(home or self.home), *words], input="")


@contextmanager
def place(root: Path, sketch_home: Path) -> Iterator[tuple[Place, MockOpenAIServer]]:
    """Make one, with a server whose answers are those of the sketch world."""
    with MockOpenAIServer(SketchResponder()) as server:
        copied(sketch_home, root / "home")
        made = Place(root, "", "", server.base_url)
        for name in ("first", "second"):
            (root / "pictures").mkdir(exist_ok=True)
            (root / "pictures" / f"{name}.png").write_bytes(tiny_png(name))
        (root / "prompts.jsonl").write_text(json.dumps({"id": "one", "prompt": PROMPT}) + "\n")
        (root / "imagerag.toml").write_text('preset = "sketch"\n')
        ended = made.invoke("generate", PROMPT, "--max-rounds", "1", "--json")
        assert ended.exit_code in (0, 3), ended.output
        waits = made.invoke("generate", PROMPT, "--select", "--json")
        assert waits.exit_code == 0, waits.output
        run, waiting = (json.loads(each.stdout)["run_id"] for each in (ended, waits))
        made = Place(root, run, waiting, server.base_url)
        assert made.invoke(*made.line("index")).exit_code == 0
        asked = made.invoke("ask", *ARGUMENTS["question"], "--answerer", "metadata", "--thread", THREAD)
        assert asked.exit_code == 0, asked.output
        evaluated = made.invoke(*made.line("eval run")[:-1], "--out", str(root / "evaluation"))
        assert evaluated.exit_code == 0, evaluated.output
        studied = made.invoke(*made.line("eval human-study"))
        assert studied.exit_code == 0, studied.output
        pairs = json.loads((root / "evaluation" / "study-key.json").read_text())["pairs"]
        given = {pair: dict.fromkeys(QUESTIONS, "left") for pair in pairs}
        (root / "answers.json").write_text(json.dumps({"schema": SCHEMA, "rater": "ann", "answers": given}))
        yield made, server
