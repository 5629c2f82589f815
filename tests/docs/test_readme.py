"""The documents are run.

`make docs-check` runs this folder. In every document, from top to bottom, in one empty desk and one
`IMAGERAG_HOME` that holds only the built-in library, without any key:

* a ```` ```python ```` block runs as a script of its own;
* every `$ imagerag …` line of a ```` ```console ```` or ```` ```bash ```` block runs, and ends with 0;
* `$ make TARGET` lines name targets that exist;
* what stands between `<!-- graph:begin -->` and `<!-- graph:end -->` is the graph as the code draws it, and between
  `<!-- help:begin generate -->` and `<!-- help:end -->` what `imagerag generate --help` prints.

A comment right before a block says what is special about it: `<!-- skip: why -->`, `<!-- exit: 3 -->` (or several
codes, one per command), `<!-- continues -->` (a python block that goes on where the one before ended). `make docs`
rewrites the generated parts.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from imagerag.agent.nodes import Nodes
from imagerag.graphs.generation import build_workflow
from tests.processes import IMAGERAG, Python

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^(?P<marks>(?:<!--[^\n]*-->\n)*)```(?P<language>\w+)[^\n]*\n(?P<text>.*?)^```$", re.M | re.S)
MARK = re.compile(r"<!--\s*(\w+)(?::\s*(.*?))?\s*-->")
SHELL = frozenset("|&;<>()$`\\*?[]#~{}\n")
"""A command with any of these outside of quotes is the shell's to run."""
QUOTED = re.compile(r"'[^']*'|\"[^\"$`\\\n]*\"")
GENERATED = re.compile(r"(<!-- (graph|help):begin ?([\w -]*?) ?-->\n).*?(<!-- \2:end -->)", re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, the line it starts in, and the comments right before it."""

    language: str
    text: str
    line: int
    marks: dict[str, str]

    @property
    def commands(self) -> list[str]:
        """The commands of a console block, lines that end in a backslash joined."""
        joined = self.text.replace("\\\n", " ")
        prompt = r"^\$ (.*)$" if self.language == "console" else r"^(?:\$ )?((?:imagerag|make)\b.*)$"
        return [found.strip() for found in re.findall(prompt, joined, re.M)]

    @property
    def codes(self) -> list[int]:
        """The exit code each command is to end with."""
        given = [int(code) for code in self.marks.get("exit", "0").split()]
        return given * len(self.commands) if len(given) == 1 else given


def blocks(document: str) -> list[Block]:
    return [
        Block(
            language=found["language"],
            text=found["text"],
            line=document.count("\n", 0, found.start("language")) + 1,
            marks={name: value or "" for name, value in MARK.findall(found["marks"])},
        )
        for found in FENCE.finditer(document)
    ]


def scripts(document: str) -> list[tuple[Block, str]]:
    """Every block that runs, with the source it runs: what a python block continues goes before it."""
    running, before = [], ""
    for block in blocks(document):
        if "skip" in block.marks or block.language not in {"python", "console", "bash"}:
            continue
        source = block.text
        if block.language == "python":
            source = f"{before}\n{source}" if "continues" in block.marks else source
            before = source
        running.append((block, source))
    return running


class Desk:
    """An empty working directory and an empty home, shared by the blocks of one document."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "desk"
        self.folder.mkdir()
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("IMAGERAG_", "OPENAI_", "LANGSMITH_"))}
        path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
        plain = {"PATH": path, "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb", "PYTHONIOENCODING": "utf-8"}
        self.environment = {**kept, **plain, "IMAGERAG_HOME": str(folder / "home")}

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run what `python` is given: the exit code, and everything it said."""
        running = Python(*arguments, cwd=self.folder, env=self.environment, stderr=subprocess.STDOUT)
        said, _ = running.communicate()
        return running.wait(), said

    def shell(self, command: str) -> tuple[int, str]:
        """Run a command of the shell."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
        )
        return done.returncode, done.stdout

    def play(self, block: Block, source: str) -> list[str]:
        """Run one block; gives what went wrong."""
        if block.language == "python":
            code, said = self.run("-c", source)
            return [f"line {block.line}: the python block failed\n{said}"] if code else []
        if len(block.codes) != len(block.commands):
            return [f"line {block.line}: {len(block.codes)} exit codes for {len(block.commands)} commands"]
        return [f for command, code in zip(block.commands, block.codes, strict=True) for f in self.type(command, code)]

    def type(self, command: str, wanted: int) -> Iterator[str]:
        """Type one command; yields what went wrong."""
        first, *rest = command.split()
        if first == "make":
            targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
            yield from (f"no make target {word}" for word in rest[:1] if word not in targets)
        elif first == "imagerag":
            plain = not SHELL & set(QUOTED.sub("", command))
            code, said = self.run(*IMAGERAG, *shlex.split(command)[1:]) if plain else self.shell(command)
            if code != wanted:
                yield f"`{command}` ended with {code}, not {wanted}\n{said}"


def graph() -> str:
    """The generation graph as mermaid text, drawn from the code; the error handler's orphan node is left out."""
    graph = build_workflow(Nodes.for_diagram()).compile().get_graph()
    for name in [name for name in graph.nodes if "error_handler" in name]:
        graph.remove_node(graph.nodes[name])
    return graph.draw_mermaid(with_styles=False).strip()


def generated(kind: str, argument: str, desk: Desk) -> str:
    """What belongs into a generated part."""
    if kind == "graph":
        return f"```mermaid\n{graph()}\n```\n"
    command = f"imagerag {argument} --help"
    code, said = desk.run(*IMAGERAG, *command.split()[1:])
    assert code == 0, said
    return f"```console\n$ {command}\n{said.strip()}\n```\n"


def regenerated(document: str, desk: Desk) -> str:
    """The document with its generated parts as the code has them now."""
    return GENERATED.sub(lambda found: found[1] + generated(found[2], found[3], desk) + found[4], document)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_a_document_shows_works(path: Path, tmp_path: Path, sketch_home: Path) -> None:
    shutil.copytree(sketch_home, tmp_path / "home")
    desk = Desk(tmp_path)
    wrong = [line for block, source in scripts(path.read_text("utf-8")) for line in desk.play(block, source)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_generated_parts_are_what_the_code_says(path: Path, tmp_path: Path) -> None:
    document = path.read_text("utf-8")
    now = regenerated(document, Desk(tmp_path))
    if os.environ.get("IMAGERAG_DOCS_WRITE"):
        path.write_text(now, "utf-8")
        return
    assert now == document, f"{path.name} is behind the code; run: make docs"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", path.read_text("utf-8"))
    assert [link for link in links if "://" not in link and not (path.parent / link).exists()] == []


TINY = """# tiny

```python
from pathlib import Path
answer = 42
Path("made.txt").write_text("here")
```

<!-- continues -->
```python
assert answer == 42 and Path("made.txt").exists()
```

<!-- skip: needs a key -->
```python
raise SystemExit("never run")
```

<!-- exit: 1 0 -->
```console
$ imagerag-is-not-this
$ make test
output is not run
```

```json
{"not": "run"}
```
"""


def test_blocks_are_found_with_their_marks() -> None:
    found = blocks(TINY)
    assert [(b.language, b.line) for b in found] == [
        ("python", 3),
        ("python", 10),
        ("python", 15),
        ("console", 20),
        ("json", 26),
    ]
    assert [b.marks for b in found] == [{}, {"continues": ""}, {"skip": "needs a key"}, {"exit": "1 0"}, {}]
    assert found[3].commands == ["imagerag-is-not-this", "make test"]
    assert found[3].codes == [1, 0]


def test_blocks_run_in_order_on_one_desk(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert [desk.play(block, source) for block, source in scripts(TINY)] == [[], [], []]
    assert (desk.folder / "made.txt").read_text() == "here"


@pytest.mark.parametrize(
    ("document", "wrong"),
    [
        ("```python\nraise ValueError('no')\n```", "ValueError: no"),
        ("```python\nassert 'OPENAI_API_KEY' not in __import__('os').environ\n```", None),
        ("```bash\nmake no-such-target\n```", "no make target no-such-target"),
        ("```bash\npip install imagerag\ncd somewhere\n```", None),
        ("<!-- exit: 1 2 -->\n```console\n$ make test\n```", "2 exit codes for 1 commands"),
        ("```console\n$ imagerag no-such-command\n```", "not 0"),
        ("<!-- exit: 2 -->\n```console\n$ imagerag no-such-command \\\n    --at-all\n```", None),
    ],
)
def test_the_check_sees_what_is_wrong(
    document: str, wrong: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not for the documents")
    desk = Desk(tmp_path)
    found = [line for block, source in scripts(document) for line in desk.play(block, source)]
    assert bool(found) is (wrong is not None)
    assert wrong is None or wrong in found[0]


def test_generated_parts_are_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "generated", lambda kind, argument, desk: f"[{kind} {argument}]\n")
    graph = "a\n<!-- graph:begin -->\n{}<!-- graph:end -->\nb\n"
    library = "<!-- help:begin library add -->\n{}<!-- help:end -->\n"
    new = graph.format("[graph ]\n") + library.format("[help library add]\n")
    desk = Desk(tmp_path)
    assert regenerated(graph.format("old\n") + library.format(""), desk) == new
    assert regenerated(new, desk) == new
