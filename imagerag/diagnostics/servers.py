"""Model servers on this machine: which answer, and with which models that see images."""

from pydantic import BaseModel, ConfigDict

from imagerag.tools.local_servers import local_servers


class ServerState(BaseModel):
    """A model server on this machine.

    Attributes:
        name: the provider in specs, `NAME:MODEL`.
        answers: whether it lists its models.
        models: those of them that see images.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    name: str
    address: str
    answers: bool
    models: list[str]
    detail: str


async def server_states() -> list[ServerState]:
    """Look for the servers, for a second at most."""
    return [
        ServerState(
            name=one.service.name, address=one.address, answers=one.answers, models=list(one.models), detail=one.detail
        )
        for one in await local_servers()
    ]
