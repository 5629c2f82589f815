"""`comfyui:WORKFLOW.json[?OPTIONS][@URL]`: generate with a workflow of the user's own on a ComfyUI server."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from imagerag.agent.calls.call_context import current_call
from imagerag.agent.control_tokens import neutralised
from imagerag.agent.errors import BackendTimeoutError, SpecError, UsageError
from imagerag.agent.extras import require_extra
from imagerag.agent.ports import Capabilities, GeneratedImage, ImagePart, ReferenceTemplate, SizeRules
from imagerag.agent.threads import in_thread
from imagerag.agent.types import SamplingParams, Size
from imagerag.agent.visible_text import is_blank
from imagerag.tools.credentials import Variable
from imagerag.tools.generators.comfyui import placeholders
from imagerag.tools.generators.comfyui.absent_images import fitted
from imagerag.tools.generators.comfyui.jobs import Job, JobQueue
from imagerag.tools.generators.comfyui.node_info import NodeInfo, class_problems, value_problems
from imagerag.tools.generators.comfyui.placeholders import HEIGHT, IMAGE, MASK, NEGATIVE, PROMPT, SEED, WIDTH
from imagerag.tools.generators.comfyui.results import image_of
from imagerag.tools.generators.comfyui.sent_files import (
    Files,
    default_size,
    files_of,
    sizes_told,
)
from imagerag.tools.generators.comfyui.server import ComfyServer
from imagerag.tools.generators.comfyui.workflow import Workflow, label
from imagerag.tools.generators.image_decoding import checked
from imagerag.tools.generators.reference_checks import check_reference
from imagerag.tools.pricing.call_cost import Price, cost_of, tariff_of
from imagerag.tools.prompt_templates import TEMPLATE_OPTIONS, with_template
from imagerag.tools.spec import BackendSpec, with_options
from imagerag.tools.spec_options import Number, Reader

if TYPE_CHECKING:
    from imagerag.tools.pricing.price_table import Prices

TIMEOUT_S: Final = 600.0
"""With the time in the queue; a first image waits for models to be loaded as well."""
MAX_PROMPT: Final = 32_000

_SIZES: Final = SizeRules(multiple=8, remedy="write %width% and %height% where it stands, or leave `size` out")

OPTIONS: Final[Mapping[str, Reader]] = {
    "edits": bool,
    "key_env": Variable(),
    "negative_prompt": str,
    "output": str,
    "timeout_s": Number(float, least=0.1),
    **TEMPLATE_OPTIONS,
}
"""Options of a spec, after `?`. `output` is the id of the node whose image counts; `edits` says that a workflow without
`%image%` changes the first image it is sent."""


class ComfyUIGenerator:
    """Generates with a workflow on a ComfyUI server.

    The workflow is read once, when the adapter is made. Its node classes are checked against the server at the first
    image, before anything is uploaded. A cancelled call takes its job out of the server's queue, or stops it.

    Args:
        file: the workflow, exported from ComfyUI in its API format, with placeholders (`placeholders.py`).
        base_url: the server; by default this machine's port 8188.
        key_env: the environment variable with the key to it.
        negative_prompt: the text for `%negative_prompt%`.
        output: id of the node whose image is the result; by default the first that saved one.
        edits: whether a workflow without `%image%` changes the first image it is sent.
        timeout_s: of one image, with its time in the queue, in seconds.
        price: computes `cost_usd`.
        template: prompt template for references.

    Raises:
        MissingExtraError: websockets is not installed.
        SpecError: the workflow cannot be used; the message names the node.
    """

    def __init__(
        self,
        file: str,
        *,
        base_url: str | None = None,
        key_env: str | None = None,
        negative_prompt: str = "",
        output: str | None = None,
        edits: bool | None = None,
        timeout_s: float = TIMEOUT_S,
        price: Price | None = None,
        template: ReferenceTemplate | None = None,
    ) -> None:
        require_extra("websockets", f"comfyui:{file}", "comfyui")
        self._workflow = Workflow.read(file)
        self._check_options(file, negative_prompt, output, edits)
        server = ComfyServer.of(base_url, key_env)
        identity_options = {
            "workflow": self._workflow.digest,
            "negative_prompt": negative_prompt or None,
            "output": output,
        }
        self.identity = with_options(f"comfyui:{self._workflow.name}@{server.address}", identity_options)
        self._server = replace(server, who=self.identity)
        self._queue = JobQueue(self._server, self._workflow.nodes)
        self._negative_prompt, self._output, self._timeout_s = negative_prompt, output, timeout_s
        self._edits = IMAGE in self._places or bool(edits)
        self._price = price
        self.template = template or ReferenceTemplate()
        self._infos: dict[str, NodeInfo] | None = None

    @classmethod
    def from_spec(cls, spec: BackendSpec, *, prices: "Prices | None" = None) -> "ComfyUIGenerator":
        """`comfyui:WORKFLOW.json[?OPTIONS][@URL]`, with `OPTIONS`.

        Raises:
            SpecError: no workflow named, one that cannot be used, or an invalid option.
        """
        options = with_template(spec.settings(OPTIONS), ReferenceTemplate())
        if not spec.model:
            raise SpecError(f"{str(spec)!r} names no workflow: write comfyui:WORKFLOW.json@http://HOST:8188")
        host = ComfyServer.of(spec.base_url).host
        price = prices.of(Path(spec.model).name, host, local=True) if prices is not None else None
        return cls(spec.model, base_url=spec.base_url, price=price, **options)

    def _check_options(self, file: str, negative_prompt: str, output: str | None, edits: bool | None) -> None:
        problems = {
            f"no node {output}, which output names": output is not None and output not in self._workflow.nodes,
            "no %negative_prompt% for negative_prompt": bool(negative_prompt) and NEGATIVE not in self._places,
            "%image%, and so edits without the option edits": edits is not None and IMAGE in self._places,
            "no %reference_1% that could be edited (edits)": bool(edits) and not self.max_references,
        }
        for problem, there in problems.items():
            if there:
                raise SpecError(f"the workflow {file} has {problem}")

    @property
    def _places(self) -> Mapping[str, tuple[tuple[str, str], ...]]:
        return self._workflow.placeholders

    @property
    def max_references(self) -> int:
        """Number of images that the workflow takes: its references, and the image that it edits."""
        return self._workflow.references + (IMAGE in self._places)

    @property
    def sizes(self) -> tuple[Size, ...] | None:
        """None for any size; empty if the workflow has one of its own."""
        return None if {WIDTH, HEIGHT} <= self._places.keys() else ()

    @property
    def capabilities(self) -> Capabilities:
        """What the workflow's placeholders make of it."""
        return Capabilities(
            tariff=tariff_of(self._price, draws=True),
            supports_seed=SEED in self._places,
            edits=self._edits,
            edits_option=self.max_references > 0 and IMAGE not in self._places,
            draws=IMAGE not in self._places,
            takes_mask=self._edits and MASK in self._places,
            size_rules=_SIZES,
        )

    has_workflow: ClassVar[bool] = True
    """The server is checked before a run too, because it has to have the nodes and files of the workflow."""

    async def check_server(self) -> tuple[str, tuple[str, ...]]:
        """Check the workflow against the server; nothing runs there.

        Returns:
            What it is and can, in a line, and values of the workflow that it does not list.

        Raises:
            UsageError: the server lacks a node of the workflow, or no node keeps an image.
            BackendError: the server is not reached.
        """
        infos = await self._node_infos()
        system = (await self._server.get("/system_stats")).get("system")
        version = system.get("comfyui_version") if isinstance(system, Mapping) else None
        state = f"answers (ComfyUI {version or 'of unknown version'}), and has all nodes"
        return state, tuple(value_problems(self._workflow.nodes, infos))

    async def generate(
        self, prompt: str, references: Sequence[ImagePart], *, variation: SamplingParams, size: Size | None
    ) -> GeneratedImage:
        """Generate one image.

        Returns:
            The first image that the workflow kept. `usage` has `images` if it kept several, `canvas` if plain images
            stood in for references that it cannot run without, and `asked_width`, `asked_height`, `drawn_width` and
            `drawn_height` in pixels if it has another size than requested.

        Raises:
            UsageError: the request does not fit the workflow, or the server refuses it; nothing ran.
            BackendError: the server is not reached, the workflow failed, or its image cannot be read.
        """
        self._check_request(prompt, references, size)
        jobs: list[Job] = []
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._generate(prompt, references, variation, size, jobs)
        except TimeoutError:
            where = await self._left_behind(jobs)
        except asyncio.CancelledError:
            await self._left_behind(jobs)
            raise
        raise BackendTimeoutError(
            f"{self.identity} had no image after {self._timeout_s:g} s{where}; "
            "allow it longer (timeout_s), or try again"
        )

    def _check_request(self, prompt: str, references: Sequence[ImagePart], size: Size | None) -> None:
        if is_blank(prompt):
            raise UsageError(f"{self.identity}: the prompt is empty; say what to draw")
        if len(prompt) > MAX_PROMPT:
            raise UsageError(
                f"{self.identity}: the prompt has {len(prompt):,} characters; at most {MAX_PROMPT:,} are sent"
            )
        if len(references) > self.max_references:
            raise UsageError(
                f"{self.identity}: {len(references)} images were to be sent; it takes {self.max_references}"
            )
        if size is not None and self.sizes is not None:
            raise UsageError(f"{self.identity} has a size of its own: {_SIZES.remedy}")
        edits = bool(references) and references[0].role == "edit"
        if IMAGE in self._places and not edits:
            node_id, _ = self._places[IMAGE][0]
            where = label(self._workflow.nodes, node_id)
            raise UsageError(
                f"{self.identity} edits an image, in {where}, and there is none: name one (`edit=FILE`), or write "
                "%reference_1% there for a workflow that draws"
            )
        for number, part in enumerate(references):
            check_reference(self.identity, part, number, takes_mask=self.capabilities.takes_mask)

    async def _generate(
        self,
        prompt: str,
        references: Sequence[ImagePart],
        variation: SamplingParams,
        size: Size | None,
        jobs: list[Job],
    ) -> GeneratedImage:
        infos, call = await self._node_infos(), current_call()
        job = await self._queue.find(call.idempotency_key)
        jobs.append(job)
        image_size = size or default_size(references)
        files, texts = (
            await in_thread(files_of, references, IMAGE in self._places),
            self._texts(prompt, variation, image_size),
        )
        flow = fitted(self._workflow, files, infos, image_size, self._output)
        if flow is None:
            raise UsageError(f"{self.identity}: node {self._output} keeps no image, so it cannot be its output")

        async def start() -> None:
            uploaded = await Files(files | flow.stand_ins).uploaded(self._server)
            ready = placeholders.filled(flow.nodes, {**texts, **uploaded})
            await self._queue.start(job, ready, previews=call.progress.partial_images > 0)

        entry = await self._queue.result(job, call.progress, None if job.queued else start)
        place, count = image_of(self.identity, entry, flow.results)
        data, media_type = await checked(await self._server.view(place), self.identity)
        usage = ({"images": count} if count > 1 else {}) | ({"canvas": len(flow.stand_ins)} if flow.stand_ins else {})
        return GeneratedImage(
            data=data,
            media_type=media_type,
            cost_usd=self._cost(prompt, len(files), size),
            usage=usage | sizes_told(data, size),
        )

    def _cost(self, prompt: str, images: int, size: Size | None) -> float | None:
        """US dollars of an image. A server reports no usage, so a stated price of a call or an image is its cost."""
        cost = cost_of(self._price, self._workflow.name, {})
        return tariff_of(self._price, draws=True).most(len(prompt), images, size) if cost is None else cost

    async def _left_behind(self, jobs: Sequence[Job]) -> str:
        """Cancel what was begun; where it stood, for a message."""
        for job in jobs:
            if job.queued and job.entry is None:
                before = await self._queue.cancel(job)
                waited = f", with {before} before it in the queue" if before else ""
                return f" (its job {job.id} was cancelled at the server{waited})"
        return ""

    async def _node_infos(self) -> dict[str, NodeInfo]:
        """The server's classes of the workflow's nodes; fetched once, and not kept while they do not suffice.

        Raises:
            UsageError: the workflow cannot run there.
        """
        if self._infos is None:
            nodes = self._workflow.nodes
            classes = await self._server.node_classes(node["class_type"] for node in nodes.values())
            infos = {name: NodeInfo.parse(raw) for name, raw in classes.items()}
            if problems := list(class_problems(self._workflow, infos)):
                raise UsageError(f"{self.identity}: {'; '.join(problems[:3])}")
            self._infos = infos
        return self._infos

    def _texts(self, prompt: str, variation: SamplingParams, size: Size) -> dict[str, object]:
        words = neutralised(prompt, self.template.tokens(self.max_references))
        return {
            PROMPT: words,
            NEGATIVE: self._negative_prompt,
            SEED: variation.seed or 0,
            WIDTH: size.width,
            HEIGHT: size.height,
        }
