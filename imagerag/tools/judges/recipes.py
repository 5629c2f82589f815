"""Judges that people run themselves: the command of the server, and the spec. `docs/how-to/judges.md` shows them.

None of them was run here. Names for vLLM are those of the models' pages; for the other servers they follow the servers'
own way to name models, and may be called otherwise by now.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

RecipeServer = Literal["vllm", "ollama", "lmstudio", "llama.cpp"]
LLAMA_CPP: Final = "http://127.0.0.1:8080/v1"
"""Address of `llama-server`, which is no service by name: it has no model names of its own."""


@dataclass(frozen=True, kw_only=True)
class JudgeRecipe:
    """One model that can judge on a server of the user's own.

    Attributes:
        name: short name, as people write it.
        size: parameters, as the vendor counts them.
        licence: of the weights; empty if it has to be looked up.
        names: server → the model's name there.
        trained: whether it was trained to judge images, and not only to look at them.
        asked: whether it can be asked as a chat model; a reward model with a head of its own cannot.
        note: what to know before it is used.
        vllm_options: further options of vLLM's server.
    """

    name: str
    size: str
    licence: str = ""
    names: Mapping[RecipeServer, str] = field(default_factory=dict)
    trained: bool = False
    asked: bool = True
    note: str = ""
    vllm_options: str = ""

    def command(self, server: RecipeServer) -> str:
        """The command that serves it."""
        model = self.names[server]
        more = f" {self.vllm_options}" if self.vllm_options else ""
        return {
            "vllm": f"vllm serve {model}{more} --limit-mm-per-prompt '{{\"image\": 6}}' --max-model-len 32768",
            "ollama": f"ollama pull {model}",
            "lmstudio": f"lms get {model} && lms server start",
            "llama.cpp": f"llama-server -hf {model} --port 8080",
        }[server]

    def spec(self, server: RecipeServer) -> str:
        """The judge's spec."""
        model = self.names[server]
        return f"openai:{model}@{LLAMA_CPP}" if server == "llama.cpp" else f"{server}:{model}"


RECIPES: Final[tuple[JudgeRecipe, ...]] = (
    JudgeRecipe(
        name="Qwen3-VL 8B",
        size="8B",
        licence="Apache-2.0",
        names={
            "vllm": "Qwen/Qwen3-VL-8B-Instruct",
            "ollama": "qwen3-vl:8b",
            "lmstudio": "qwen/qwen3-vl-8b",
            "llama.cpp": "Qwen/Qwen3-VL-8B-Instruct-GGUF",
        },
        note="the Instruct weights; the Thinking ones answer much later",
    ),
    JudgeRecipe(
        name="Gemma 4 31B",
        size="31B",
        names={
            "vllm": "google/gemma-4-31B-it",
            "ollama": "gemma4:31b",
            "lmstudio": "google/gemma-4-31b",
            "llama.cpp": "ggml-org/gemma-4-31B-it-GGUF",
        },
        note="26B-A4B, E4B and E2B are smaller",
    ),
    JudgeRecipe(
        name="GLM-4.6V-Flash",
        size="9B",
        licence="MIT",
        names={
            "vllm": "zai-org/GLM-4.6V-Flash",
            "lmstudio": "zai-org/glm-4.6v-flash",
            "llama.cpp": "ggml-org/GLM-4.6V-Flash-GGUF",
        },
        note="reasons before it answers; on Ollama there are only uploads of others",
    ),
    JudgeRecipe(
        name="MiniCPM-V 4.5",
        size="8B",
        names={
            "vllm": "openbmb/MiniCPM-V-4_5",
            "ollama": "openbmb/minicpm-v4.5",
            "llama.cpp": "openbmb/MiniCPM-V-4_5-gguf",
        },
        note="on vLLM it runs code of its own repository",
        vllm_options="--trust-remote-code",
    ),
    JudgeRecipe(
        name="Q-Judger (Qwen-Image-Bench)",
        size="27B",
        names={"vllm": "Qwen/Qwen-Image-Bench"},
        trained=True,
        note="trained on the rubric of Qwen-Image-Bench; imagerag asks with its own checklist",
    ),
    JudgeRecipe(
        name="UnifiedReward 2.0",
        size="9B",
        licence="MIT",
        names={"vllm": "CodeGoat24/UnifiedReward-2.0-qwen35-9b"},
        trained=True,
        note="trained to rank pairs and to give marks; whether it follows a JSON schema has to be tested",
    ),
    JudgeRecipe(
        name="AgentGen-Bench-Evaluator",
        size="9B",
        trained=True,
        note="on Qwen3.5-9B, with checklists like imagerag's; serve the weights that SearchGen publishes with vLLM and "
        "write `vllm:` and the name that you gave them (--served-model-name)",
    ),
    JudgeRecipe(
        name="EditReward",
        size="7B",
        trained=True,
        asked=False,
        note="a mark from a head of its own, without words: it cannot name what is missing, so it is no judge here",
    ),
)
"""The judges that look, and those that were trained to judge."""


def judge_recipes() -> list[tuple[str, JudgeRecipe]]:
    """(spec, recipe) of every judge on every server, for lists of models."""
    return [(recipe.spec(server), recipe) for recipe in RECIPES for server in recipe.names]
