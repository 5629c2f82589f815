"""Workflows in ComfyUI's API format, and those of the documentation."""

from pathlib import Path
from typing import Any

import imagerag

EXAMPLES = sorted((Path(imagerag.__file__).parent.parent / "docs" / "how-to" / "comfyui").glob("*.json"))
EDIT = next(file for file in EXAMPLES if file.name == "sdxl-edit.json")
QWEN = next(file for file in EXAMPLES if file.name == "qwen-image-edit.json")


def node(kind: str, title: str = "", **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs, "_meta": {"title": title or kind}}


def text_to_image() -> dict[str, dict[str, Any]]:
    """The workflow that ComfyUI starts with."""
    sampling = {"steps": 20, "cfg": 7, "sampler_name": "euler", "scheduler": "normal", "denoise": 1}
    links = {"model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]}
    return {
        "3": node("KSampler", seed="%seed%", **sampling, **links),
        "4": node("CheckpointLoaderSimple", "Load Checkpoint", ckpt_name="sd_xl_base_1.0.safetensors"),
        "5": node("EmptyLatentImage", width="%width%", height="%height%", batch_size=1),
        "6": node("CLIPTextEncode", "Prompt", text="%prompt%", clip=["4", 1]),
        "7": node("CLIPTextEncode", "Negative prompt", text="%negative_prompt%", clip=["4", 1]),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": node("SaveImage", "Save", filename_prefix="%year%-%width%", images=["8", 0]),
    }


def adapted() -> dict[str, dict[str, Any]]:
    """The same with two image prompt adapters and a control net."""
    flow = text_to_image()
    flow |= {
        "20": node("LoadImage", "Reference 1", image="%reference_1%"),
        "21": node("IPAdapter", model=["4", 0], image=["20", 0]),
        "22": node("LoadImage", "Reference 2", image="%reference_2%"),
        "23": node("IPAdapter", model=["21", 0], image=["22", 0]),
        "24": node("ControlNetApplyAdvanced", positive=["6", 0], negative=["7", 0], image=["22", 0]),
    }
    flow["3"]["inputs"] |= {"model": ["23", 0], "positive": ["24", 0], "negative": ["24", 1]}
    return flow
