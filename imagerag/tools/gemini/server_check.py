"""Check that the Gemini API has a model, which costs nothing."""

from imagerag.tools.gemini.client import GeminiCredentials
from imagerag.tools.gemini.errors import map_gemini_errors


async def check_model(who: str, model: str, account: GeminiCredentials) -> tuple[str, tuple[str, ...]]:
    """Ask the service for its description of a model: the hook `check_server` of `healthcheck.py`.

    Returns:
        What the service can, in a line, and what is wrong with the model there.

    Raises:
        BackendError: the service is not reached, or refuses the key.
    """
    listed = await map_gemini_errors(who, account.has_model(who, model), account)
    return "answers, and has the model", () if listed else ("does not list it",)
