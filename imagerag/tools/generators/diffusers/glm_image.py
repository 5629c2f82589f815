"""GLM-Image with images, in versions of diffusers and transformers that do not fit together.

The pipeline of diffusers 0.42 joins the features of its images with `torch.cat`, as if each were a list of patches, and
passes the result to `get_image_tokens`. In transformers 5.23 a feature is a map (channels, height, width), and that
method takes the list of them. Here the pipeline's own encoder, not its class, returns features that can be joined, and
finds the tokens of the maps themselves. Nothing changes where features are lists of patches.
"""

from typing import Any


def adapt_encoder(pipe: Any) -> None:
    """Let a GLM-Image pipeline take images."""
    encoder = pipe.vision_language_encoder
    features, tokens = encoder.get_image_features, encoder.get_image_tokens
    maps: list[Any] = []

    def get_image_features(*inputs: Any, **named: Any) -> Any:
        output = features(*inputs, **named)
        # The pipeline passes its inputs by position, `generate` by name: that one reads the maps.
        if inputs and all(feature.dim() == 3 for feature in output.pooler_output):
            maps[:] = output.pooler_output
            output.pooler_output = [feature.flatten(1).T for feature in maps]
        return output

    def get_image_tokens(joined: Any, *rest: Any, **named: Any) -> Any:
        sent = list(maps) or joined
        maps.clear()
        return tokens(sent, *rest, **named)

    encoder.get_image_features, encoder.get_image_tokens = get_image_features, get_image_tokens
