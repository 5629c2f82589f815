"""A model's folder is data: whatever it names, no Python of its author is run and nothing else is fetched for it."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagerag.agent.errors import BackendError, ImageRAGError, SpecError, UsageError
from imagerag.graphs.configuration.trust_policy import is_plain
from imagerag.tools.embedders import weights
from imagerag.tools.embedders.openclip import OpenClipEmbedder

Build = Callable[..., Path]


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """A file that is there once code of the folder was run."""
    return tmp_path / "run"


def changed(folder: Path, place: str, **values: Any) -> Path:
    file = folder / "open_clip_config.json"
    config = json.loads(file.read_text())
    table = config["model_cfg"] if place == "model_cfg" else config["model_cfg"].setdefault(place, {})
    table.update(values)
    file.write_text(json.dumps(config))
    return folder


def with_code(folder: Path, mark: Path) -> Path:
    (folder / "evil.py").write_text(
        f"import pathlib; pathlib.Path({str(mark)!r}).write_text('run')\n"
        "from transformers import PreTrainedTokenizerFast as Evil, PretrainedConfig as Config\n"
        "from transformers import PreTrainedModel as Model\n"
    )
    auto = {"AutoConfig": "evil.Config", "AutoTokenizer": ["evil.Evil", "evil.Evil"], "AutoProcessor": "evil.Evil",
            "AutoModelForImageTextToText": "evil.Model"}  # fmt: skip
    (folder / "config.json").write_text(json.dumps({"model_type": "evil", "auto_map": auto}))
    for name in ("tokenizer_config.json", "processor_config.json", "preprocessor_config.json"):
        (folder / name).write_text(json.dumps({"tokenizer_class": "Evil", "auto_map": auto}))
    return folder


@pytest.mark.parametrize(
    ("place", "values"),
    [
        ("text_cfg", {"tokenizer_kwargs": {"trust_remote_code": True}}),
        ("text_cfg", {"tokenizer_kwargs": {"bpe_path": "/etc/passwd"}}),
        ("text_cfg", {"tokenizer_kwargs": {"cache_dir": "x"}}),
        ("text_cfg", {"tokenizer_kwargs": [["trust_remote_code", True]]}),
        ("text_cfg", {"hf_model_name": "somebody/model"}),
        ("text_cfg", {"act_kwargs": {"name": "os.system"}}),
        ("text_cfg", {"act_kwargs": {"approximate": "os.system"}}),
        ("text_cfg", {"act_kwargs": {"approximate": ["tanh"]}}),
        ("text_cfg", {"new_key": 1}),
        ("multimodal_cfg", {"hf_model_name": "somebody/model"}),
        ("multimodal_cfg", {"tokenizer_kwargs": {"trust_remote_code": True}}),
        ("vision_cfg", {"timm_model_name": "hf-hub:somebody/model"}),
        ("vision_cfg", {"timm_model_name": "local-dir:/model"}),
        ("vision_cfg", {"timm_model_name": "vit_base_patch16_224", "timm_model_pretrained": True}),
        ("model_cfg", {"trust_remote_code": True}),
        ("model_cfg", {"text_cfg": [1]}),
    ],
)
def test_a_key_that_names_code_or_another_place_is_refused(
    place: str, values: dict[str, Any], build_model: Build, tmp_path: Path
) -> None:
    folder = changed(build_model(tmp_path / "model"), place, **values)
    with pytest.raises(UsageError, match=r"open_clip_config\.json"):
        weights.find(f"local-dir:{folder}")


def test_what_folders_of_real_models_say_is_read(build_model: Build, tmp_path: Path) -> None:
    folder = changed(build_model(tmp_path / "model"), "text_cfg", tokenizer_kwargs={"clean": "canonicalize"},
                     no_causal_mask=True, proj_bias=True, pool_type="last", norm_kwargs={"eps": 1e-6},
                     act_kwargs={"approximate": "tanh"})  # fmt: skip
    changed(folder, "model_cfg", init_logit_bias=-10, custom_text=True)
    assert weights.find(f"local-dir:{folder}").model_config["text_cfg"]["pool_type"] == "last"


async def test_a_tokenizer_of_the_folders_own_python_is_not_run(build_model: Build, tmp_path: Path, mark: Path) -> None:
    folder = with_code(changed(build_model(tmp_path / "model"), "text_cfg", hf_tokenizer_name="x"), mark)
    with pytest.raises(ImageRAGError):
        await OpenClipEmbedder(f"local-dir:{folder}").embed_texts(["a"])
    assert not mark.exists()


async def test_pickled_weights_are_read_as_weights_only(build_model: Build, tmp_path: Path, mark: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path.write_text, (mark, "run"))

    folder = build_model(tmp_path / "model")
    (folder / "open_clip_model.safetensors").unlink()
    (folder / "open_clip_pytorch_model.bin").write_bytes(pickle.dumps({"x": Evil()}))
    with pytest.raises(BackendError):
        await OpenClipEmbedder(f"local-dir:{folder}").embed_texts(["a"])
    named = tmp_path / "weights.pt"
    named.write_bytes(pickle.dumps({"state_dict": Evil()}))
    with pytest.raises(BackendError):
        await OpenClipEmbedder(f"ViT-B-32/{named}").embed_texts(["a"])
    assert not mark.exists()


def test_a_model_of_transformers_runs_no_code_of_its_folder(tmp_path: Path, mark: Path) -> None:
    pytest.importorskip("transformers")
    from imagerag.tools.judges.vlm.transformers_loading import _load

    folder = tmp_path / "model"
    folder.mkdir()
    with pytest.raises(BackendError):
        _load(str(with_code(folder, mark)), "cpu", None)
    assert not mark.exists()


@pytest.mark.parametrize("table", [{}, {"text_config": {}}])
def test_a_model_of_transformers_names_no_kernels(table: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from imagerag.tools.judges.vlm.transformers_loading import _load

    (table.get("text_config", table))["attn_implementation"] = "somebody/kernels"
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen3_vl", **table}))
    with pytest.raises(BackendError, match="kernels of a hub"):
        _load(str(tmp_path), "cpu", None)


@pytest.mark.parametrize(
    "index",
    [
        {"_class_name": ["evil", "Evil"]},
        {"_class_name": "StableDiffusionPipeline", "unet": ["evil", "Model"]},
        {"_class_name": "StableDiffusionPipeline", "unet": ["os", "system"]},
        {"_class_name": "StableDiffusionPipeline", "vae": ["subprocess", "run"]},
    ],
)
def test_a_pipeline_of_diffusers_runs_no_code_of_its_folder(index: dict[str, Any], tmp_path: Path, mark: Path) -> None:
    pytest.importorskip("diffusers")
    from imagerag.tools.generators.diffusers import weight_sources
    from imagerag.tools.generators.diffusers.families import FAMILIES
    from imagerag.tools.generators.diffusers.loading import load

    folder = tmp_path / "pipeline"
    (folder / "unet").mkdir(parents=True)
    (folder / "model_index.json").write_text(json.dumps(index))
    for place in (folder, folder / "unet"):
        with_code(place, mark)
    family = weight_sources.Source(name="sdxl", family=next(iter(FAMILIES.values())), repo=str(folder))
    with pytest.raises(BackendError, match="code of its own"):
        load(family, device="cpu", dtype=None, offload="none", options={})
    with pytest.raises(BackendError, match="code of its own"):
        weight_sources.check_index(str(folder))
    assert not mark.exists()


def test_a_repository_of_the_hub_is_read_as_a_folder_is(
    build_model: Build, tmp_path: Path, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    commit, store = "a" * 40, tmp_path / "models--somebody--model"
    (store / "refs").mkdir(parents=True)
    (store / "refs" / "main").write_text(commit)
    folder = build_model(store / "snapshots" / commit)
    assert weights.find("hf-hub:somebody/model").repository == f"somebody/model@{commit}"
    with_code(changed(folder, "text_cfg", tokenizer_kwargs={"trust_remote_code": True}), mark)
    with pytest.raises(UsageError, match=r"no folder may set"):
        weights.find("hf-hub:somebody/model")
    assert not mark.exists()
    with pytest.raises(SpecError, match="is no repository"):
        weights.find("hf-hub:somebody/model/x")
    assert not is_plain("open_clip:hf-hub:somebody/model"), "only the user may name it"
