"""A repository made by somebody who wishes us ill, opened with every command.

Settings, a home with a library and a run, model folders, sidecars, a manifest and arms: each names code, keys,
addresses and files. Nothing of it is executed, nothing leaves this machine, and whoever opens it is told.
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from imagerag import ImageRAG
from imagerag.agent.errors import UntrustedError
from imagerag.cli import main
from imagerag.graphs.configuration import settings
from imagerag.store.trust_store import config_folder
from imagerag.tools.testing.fakes import sample_image
from tests.conftest import copied
from tests.tools.wire import Wire, wire

KEY = "sk-not-for-them-0123456789"
CODE = """
import pathlib
pathlib.Path({mark!r}).write_text("run")
from transformers import PreTrainedTokenizerFast as T
class Evil(T): ...
class EvilPipeline: ...
async def arm(job): return b""
"""


@pytest.fixture
def server() -> Iterator[Wire]:
    with wire() as one:
        yield one


def model_folder(folder: Path, mark: Path, **text: Any) -> Path:
    """An open_clip folder whose tokenizer is Python of its author."""
    folder.mkdir(parents=True)
    text_cfg = {"context_length": 8, "vocab_size": 64, "width": 8, "heads": 2, "layers": 1, "hf_tokenizer_name": "x"}
    vision_cfg = {"image_size": 32, "layers": 1, "width": 8, "patch_size": 16, "head_width": 4}
    config = {"model_cfg": {"embed_dim": 4, "vision_cfg": vision_cfg, "text_cfg": {**text_cfg, **text}}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text(CODE.format(mark=str(mark)))
    (folder / "config.json").write_text(
        json.dumps(
            {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil", "AutoTokenizer": ["evil.Evil", None]}}
        )
    )
    tokenizer = {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    import open_clip
    from safetensors.torch import save_file

    towers = {"vision_cfg": vision_cfg, "text_cfg": {k: v for k, v in text_cfg.items() if k != "hf_tokenizer_name"}}
    save_file(open_clip.CLIP(embed_dim=4, **towers).state_dict(), folder / "open_clip_model.safetensors")
    return folder


def hostile_home(home: Path, sketch_home: Path, model: str) -> None:
    """A home with a library whose metadata names an encoder of a path."""
    copied(sketch_home, home)
    from imagerag.store.data_dir import DataDir
    from imagerag.store.library.database import open_table
    from imagerag.store.library.library_metadata import METADATA_KEY

    table = open_table(DataDir(home), "sketch")
    library_metadata = json.loads(table.schema.field("vector").metadata[METADATA_KEY.encode()])
    library_metadata["spec"] = model
    (home / "libraries" / "sketch.lance").rename(home / "libraries" / "pictures.lance")
    table = open_table(DataDir(home), "pictures")
    table.update_field_metadata({"path": "vector", "metadata": {METADATA_KEY: json.dumps(library_metadata)}})


@pytest.fixture
def repository(tmp_path: Path, sketch_home: Path, server: Wire, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The repository, as the current folder; its code would leave a file called `run` in it."""
    here = tmp_path / "repository"
    here.mkdir()
    mark = here / "run"
    model_folder(here / "model", mark, tokenizer_kwargs={"trust_remote_code": True})
    hostile_home(here / "home", sketch_home, f"open_clip:local-dir:{here / 'model'}")
    (here / "imagerag.toml").write_text(
        f'home = "{here / "home"}"\nlibrary = "pictures"\npreset = "local"\n'
        f'generator = "openai:m?key_env=OPENAI_API_KEY@{server.at}"\njudge = "openai:m@{server.at}"\n'
        f'embedder = "open_clip:local-dir:{here / "model"}"\nreranker = "vlm"\n'
        f'answerer = "transformers:{here / "model"}"\n'
    )
    (here / "pictures").mkdir()
    (here / "pictures" / "a.png").write_bytes(sample_image("red"))
    (here / "pictures" / "a.json").write_text(json.dumps({"caption": "a", "embedder": "open_clip:local-dir:../model"}))
    (here / "manifest.json").write_text(json.dumps([{"file": "pictures/a.png", "caption": "x", "url": server.at}]))
    (here / "evilarm.py").write_text(CODE.format(mark=str(mark)))
    (here / "arms.toml").write_text('[arms.x]\nrun = "evilarm:arm"\n')
    (here / "prompts.txt").write_text("a red circle\n")
    (here / "index.json").write_text(json.dumps({"_class_name": ["evil", "EvilPipeline"]}))
    monkeypatch.chdir(here)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("IMAGERAG_CONFIG", str(tmp_path / "config"))
    monkeypatch.delenv("IMAGERAG_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("IMAGERAG_PRESET", "sketch")
    return here


COMMANDS: list[list[str]] = [
    ["search", "a red circle"],
    ["search", "a red circle", "--library", "pictures", "--home"],
    ["ask", "what is there?"],
    ["generate", "a red circle", "--max-rounds", "0"],
    ["index", "pictures", "--library", "mine", "--manifest", "manifest.json"],
    ["library", "list"],
    ["library", "info", "pictures"],
    ["runs"],
    ["doctor"],
    ["prices", "list", "gpt-image"],
    ["eval", "run", "sketch", "--arms", "x", "--arms-file", "arms.toml", "--limit", "1", "--out", "results"],
    ["generate", "a cat", "--generator", "diffusers:./model", "--max-rounds", "0"],
    ["similarity", "pictures/a.png", "a red circle"],
    ["ask", "what is this?", "--image", "pictures/a.png"],
    ["search", "a red circle", "--library", "sketch,pictures", "--home"],
    ["eval", "search", "pictures", "--home"],
    ["eval", "sizes", "prompts:prompts.txt", "--library", "pictures", "--sizes", "2", "--out", "results", "--home"],
]


def test_every_command(repository: Path, server: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(repository)
    told = []
    for command in COMMANDS:
        before = ["--home", str(repository / "home")] if "--home" in command else []
        rest = [word for word in command if word != "--home"]
        settings._warn_once.cache_clear()  # every command is a process of its own
        done = CliRunner().invoke(main, [*before, *rest])
        told.append((command, done.exit_code, done.stdout, done.stderr))
        assert not (repository / "run").exists(), (command, done.stderr)
        assert server.arrived == [], command
        assert KEY not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        assert "imagerag.toml is not trusted (yours? imagerag trust): no " in done.stderr, (command, done.stderr)
    said = {tuple(command): err for command, _, _, err in told}
    assert "which you never named here" in said[tuple(COMMANDS[1])]
    assert all("which you never named here" in said[tuple(command)] for command in COMMANDS[-3:]), said
    assert "names code to be run for arm 'x'" in said[tuple(COMMANDS[10])]
    assert not (repository / "home" / "runs.sqlite").exists()


async def test_from_python_too(repository: Path, server: Wire) -> None:
    assert ImageRAG().settings.generator == "sketch"
    with pytest.raises(UntrustedError, match=r"imagerag trust --spec 'open_clip:local-dir:/"):
        await ImageRAG(home=repository / "home", library="pictures").libraries.search("a red circle")
    assert not (repository / "run").exists()
    assert server.arrived == []


async def test_even_a_model_folder_that_is_trusted_runs_no_code(repository: Path) -> None:
    from imagerag.agent.errors import ImageRAGError

    rag = ImageRAG(home=repository / "home", library="pictures", embedder=f"open_clip:local-dir:{repository / 'model'}")
    with pytest.raises(ImageRAGError, match="tokenizer_kwargs has 'trust_remote_code', which no folder may set"):
        await rag.libraries.search("a red circle")
    config = json.loads((repository / "model" / "open_clip_config.json").read_text())
    del config["model_cfg"]["text_cfg"]["tokenizer_kwargs"]
    (repository / "model" / "open_clip_config.json").write_text(json.dumps(config))
    from imagerag.tools.embedders.openclip import OpenClipEmbedder

    with pytest.raises(ImageRAGError):
        await OpenClipEmbedder(f"local-dir:{repository / 'model'}").embed_texts(["a red circle"])
    assert not (repository / "run").exists()


def test_trust_is_for_the_content_and_kept_outside(repository: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = repository / "imagerag.toml"
    done = CliRunner().invoke(main, ["trust"])
    assert done.exit_code == 0, done.stderr
    assert ImageRAG().settings.embedder == f"open_clip:local-dir:{repository / 'model'}"
    assert ImageRAG().settings.origins["home"] == "imagerag.toml"
    assert repository not in config_folder().parents
    file.write_text(file.read_text() + "\n# one more line\n")
    assert ImageRAG().settings.home is None
    (said,) = [one.getMessage() for one in caplog.records if "not trusted" in one.getMessage()]
    assert said.count("\n") == 0
    assert "home" in said
    assert "imagerag trust" in said[:80]
    shutil.copytree(repository, repository.parent / "copy")
    os.chdir(repository.parent / "copy")
    assert ImageRAG().settings.home is None


@pytest.mark.parametrize(
    "spec",
    [
        "open_clip:local-dir:model",
        "open_clip:local-dir:../m",
        "open_clip:ViT-B-32/./w.pt",
        "other:x",
        "sketch@http://h",
    ],
)
async def test_a_library_names_no_other_place(spec: str, tmp_path: Path, sketch_home: Path) -> None:
    hostile_home(tmp_path / "home", sketch_home, spec)
    with pytest.raises(UntrustedError):
        await ImageRAG(preset="sketch", home=tmp_path / "home", library="pictures").libraries.search("a red circle")


async def test_who_indexed_with_a_model_of_his_own_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagerag.tools.sketch.registration import SKETCH_CLIP

    folder = shutil.copytree(SKETCH_CLIP, tmp_path / "mine")
    (tmp_path / "pictures").mkdir()
    for name in ("red", "blue"):
        (tmp_path / "pictures" / f"{name}.png").write_bytes(sample_image(name))
    monkeypatch.setenv("IMAGERAG_CONFIG", str(tmp_path / "config"))
    home = tmp_path / "home"
    await ImageRAG(preset="sketch", home=home).libraries.index(
        tmp_path / "pictures", library="mine", embedder=f"open_clip:local-dir:{folder}"
    )
    assert len(await ImageRAG(preset="sketch", home=home, library="mine").libraries.search("a red circle", k=1)) == 1
    monkeypatch.setenv("IMAGERAG_CONFIG", str(tmp_path / "another user"))
    with pytest.raises(UntrustedError):
        await ImageRAG(preset="sketch", home=home, library="mine").libraries.search("a red circle", k=1)
    monkeypatch.setenv("IMAGERAG_EMBEDDER", f"open_clip:local-dir:{folder}")
    assert len(await ImageRAG(preset="sketch", home=home, library="mine").libraries.search("a red circle", k=1)) == 1


async def test_a_record_names_no_address_that_its_reader_never_named(
    server: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("IMAGERAG_CONFIG", str(tmp_path / "theirs"))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    theirs = ImageRAG(preset="sketch", judge=f"openai:m?key_env=OPENAI_API_KEY@{server.at}", library="", home=home)
    record = await theirs.generate("a red circle", max_rounds=0)
    seen = len(server.arrived)
    assert seen
    own = ImageRAG(preset="sketch", home=home)
    monkeypatch.setenv("IMAGERAG_CONFIG", str(tmp_path / "mine"))
    for work in (own.runs.continue_(record.run_id), own.runs.replay(record.run_id, step=1)):
        with pytest.raises(UntrustedError, match="imagerag trust --spec"):
            await work
    assert len(server.arrived) == seen
    assert (await own.runs.replay(record.run_id, step=1, judge="sketch")).status == "ended"
    monkeypatch.setenv("IMAGERAG_CONFIG", str(tmp_path / "theirs"))
    await own.runs.replay(record.run_id, step=1, no_cache=True)
    assert len(server.arrived) > seen
