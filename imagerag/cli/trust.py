"""`imagerag trust`: allow the settings file of a folder, or allow data to name an encoder, a model or an address."""

from pathlib import Path

import click

from imagerag.agent.errors import UsageError
from imagerag.agent.regular_files import open_regular
from imagerag.cli.options import json_option
from imagerag.cli.terminal.output import dim, say, say_all, say_json


@click.command("trust")
@click.argument("file", metavar="[FILE]", required=False)
@click.option("--spec", metavar="SPEC", help="An encoder, model or address that a library or a run may name.")
@json_option
def trust_command(file: str | None, spec: str | None, as_json: bool) -> int:
    """Trust FILE as it is now, by default the imagerag.toml of this folder; or a SPEC that a library or a run names.

    Until then, such a file may set a preset, a library and built-in backends only: no folder, no address, no model from
    a path or a hub, no code. A changed file has to be trusted again. Trust is stored in your configuration folder [env:
    IMAGERAG_CONFIG]
    """
    from imagerag.store import trust_store

    if file and spec:
        raise UsageError("trust a file or a --spec, one of them")
    if spec:
        clean = _checked(spec)
        trust_store.trust_spec(clean)
        trusted = clean
    else:
        path, content = _read(file)
        trust_store.trust_file(path, content)
        trusted = str(path.resolve())
        if not as_json:
            say_all(dim(line) for line in content.decode("utf-8", "replace").splitlines()[:40])
    if as_json:
        from imagerag.schemas.commands import TrustDocument

        document = TrustDocument(
            file=None if spec else trusted, spec=trusted if spec else None, kept_in=str(trust_store.config_folder())
        )
        say_json(document.as_json())
    else:
        say(f"trusted: {trusted}" + ("" if spec else ", as long as it stays as it is"))
    return 0


def _checked(spec: str) -> str:
    """Validate a spec, and return it without secrets."""
    from imagerag.agent.url_redaction import public
    from imagerag.tools.spec import BackendSpec

    clean = public(spec)
    if clean.startswith("arm:"):
        return clean
    BackendSpec.parse_all(clean)
    return clean


def _read(file: str | None) -> tuple[Path, bytes]:
    from imagerag.graphs.configuration.settings import FILE, LONGEST_FILE

    path = Path(file or FILE).expanduser()
    try:
        with open_regular(path) as stream:
            content = stream.read(LONGEST_FILE)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(content) >= LONGEST_FILE:
        raise UsageError(f"{path} is too long for a file of settings or arms")
    return path, content
