"""The built-in services, in the order in which `auto` tries them.

Addresses and limits are those of the services' own documentation (`source`); none of the hosted services was called to
check them. What a service refuses and nobody wrote down is found at run time, by its first error.
"""

from collections.abc import Mapping
from typing import Final

from imagerag.tools.services.service import CHAT_ROLES, ImagesProtocol, Service

SERVICES: Final[Mapping[str, Service]] = {
    service.name: service
    for service in (
        Service(
            name="xai",
            title="xAI",
            address="https://api.x.ai/v1",
            keys=("XAI_API_KEY",),
            roles=CHAT_ROLES | {"generator"},
            images=ImagesProtocol(references="images", path="/images/edits", form="url", size="aspect_ratio"),
            judge="grok-4.3",
            source="https://docs.x.ai/developers/model-capabilities/images",
        ),
        Service(
            name="mistral",
            title="Mistral",
            address="https://api.mistral.ai/v1",
            keys=("MISTRAL_API_KEY",),
            roles=CHAT_ROLES | {"embedder"},
            refuses=frozenset({"seed"}),  # it is called random_seed there
            judge="mistral-medium-latest",
            source="https://docs.mistral.ai/api",
        ),
        Service(
            name="groq",
            title="Groq",
            address="https://api.groq.com/openai/v1",
            keys=("GROQ_API_KEY",),
            judge="qwen/qwen3.8-27b",
            source="https://console.groq.com/docs/openai",
        ),
        Service(
            name="together",
            title="Together AI",
            address="https://api.together.xyz/v1",
            keys=("TOGETHER_API_KEY",),
            roles=CHAT_ROLES | {"embedder", "generator"},
            images=ImagesProtocol(references="reference_images", size="width_height", response_format="base64"),
            judge="Qwen/Qwen3.5-9B",
            source="https://docs.together.ai/docs/openai-api-compatibility",
        ),
        Service(
            name="openrouter",
            title="OpenRouter",
            address="https://openrouter.ai/api/v1",
            keys=("OPENROUTER_API_KEY",),
            roles=CHAT_ROLES | {"embedder", "generator"},
            images=ImagesProtocol(
                references="input_references", path="/images", plain_path="/images", form="image_url"
            ),
            judge="google/gemini-3.8-flash",
            source="https://openrouter.ai/docs",
        ),
        Service(
            name="cohere",
            title="Cohere",
            address="https://api.cohere.ai/compatibility/v1",
            keys=("COHERE_API_KEY", "CO_API_KEY"),
            roles=CHAT_ROLES | {"embedder"},
            judge="command-a-vision-07-2025",
            source="https://docs.cohere.com/docs/compatibility-api",
        ),
        Service(
            name="ollama-cloud",
            title="Ollama's cloud",
            address="https://ollama.com/v1",
            keys=("OLLAMA_API_KEY",),
            judge="gemma4:31b",
            source="https://docs.ollama.com/api/openai-compatibility",
        ),
        Service(
            name="ollama",
            title="Ollama",
            address="http://127.0.0.1:11434/v1",
            address_variable="OLLAMA_HOST",
            address_path="/v1",
            key_required=False,
            roles=CHAT_ROLES | {"embedder"},
            models_path="/api/tags",
            source="https://docs.ollama.com/api/openai-compatibility",
        ),
        Service(
            name="lmstudio",
            title="LM Studio",
            address="http://127.0.0.1:1234/v1",
            keys=("LM_API_TOKEN",),
            key_required=False,
            roles=CHAT_ROLES | {"embedder"},
            models_path="/api/v1/models",
            runs_models=True,
            source="https://lmstudio.ai/docs/developer",
        ),
        Service(
            name="vllm",
            title="vLLM",
            address="http://127.0.0.1:8000/v1",
            keys=("VLLM_API_KEY",),
            key_required=False,
            roles=CHAT_ROLES | {"embedder", "generator"},
            images=ImagesProtocol(),
            runs_models=True,
            source="https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
        ),
        Service(
            name="hf",
            title="Hugging Face's Inference Providers",
            address="https://router.huggingface.co/v1",
            keys=("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
            judge="Qwen/Qwen3-VL-8B-Instruct",
            source="https://huggingface.co/docs/inference-providers",
        ),
        Service(
            name="azure",
            title="Azure OpenAI",
            address_variable="AZURE_OPENAI_ENDPOINT",
            address_path="/openai/v1",
            keys=("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN"),
            roles=CHAT_ROLES | {"embedder", "generator"},
            refuses=frozenset({"max_tokens"}),  # its reasoning models take max_completion_tokens only, as OpenAI's do
            images=ImagesProtocol(),
            source="https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle",
        ),
    )
}
"""Provider → service. `azure` is last and never chosen by `auto`: its models have names that the user gave them."""
