"""A ComfyUI server on 127.0.0.1: its queue, history, uploads, validation, websocket and faults, without any model.

It follows ComfyUI's `server.py` and `execution.py` of 2026; `old=True` leaves out what came since 2025 (ids by clients,
cancelling one job).
"""

import asyncio
import hashlib
import json
import struct
import threading
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from imagerag.tools.testing.mock_openai import tiny_png

Drawing = Callable[[dict[str, Any], dict[str, bytes]], Awaitable[bytes]]


def node(required: dict[str, Any], output: list[str] | None = None, **more: Any) -> dict[str, Any]:
    optional = more.pop("optional", {})
    return {"input": {"required": required, "optional": optional}, "output": output or [], "output_node": False, **more}


MODEL, CLIP, VAE, TEXT, INT, FLOAT = ["MODEL"], ["CLIP"], ["VAE"], ["STRING", {}], ["INT", {}], ["FLOAT", {}]
IMAGE, LATENT, MASK, CONDITIONING = ["IMAGE"], ["LATENT"], ["MASK"], ["CONDITIONING"]
UPLOAD = [["example.png"], {"image_upload": True}]

CLASSES: dict[str, dict[str, Any]] = {
    "CheckpointLoaderSimple": node(
        {"ckpt_name": [["sd_xl_base_1.0.safetensors", "flux1.safetensors"], {}]}, ["MODEL", "CLIP", "VAE"]
    ),
    "CLIPTextEncode": node({"text": TEXT, "clip": CLIP}, ["CONDITIONING"]),
    "EmptyLatentImage": node({"width": INT, "height": INT, "batch_size": INT}, ["LATENT"]),
    "KSampler": node(
        {
            "model": MODEL,
            "seed": INT,
            "steps": INT,
            "cfg": FLOAT,
            "sampler_name": ["COMBO", {"options": ["euler", "dpmpp_2m"]}],
            "scheduler": [["normal", "karras", "simple"]],
            "positive": CONDITIONING,
            "negative": CONDITIONING,
            "latent_image": LATENT,
            "denoise": FLOAT,
        },
        ["LATENT"],
    ),
    "VAEDecode": node({"samples": LATENT, "vae": VAE}, ["IMAGE"]),
    "VAEEncode": node({"pixels": IMAGE, "vae": VAE}, ["LATENT"]),
    "SetLatentNoiseMask": node({"samples": LATENT, "mask": MASK}, ["LATENT"]),
    "LoadImage": node({"image": UPLOAD}, ["IMAGE", "MASK"]),
    "LoadImageMask": node({"image": UPLOAD, "channel": [["alpha", "red", "green", "blue"]]}, ["MASK"]),
    "ImageStitch": node({"image1": IMAGE}, ["IMAGE"], optional={"image2": IMAGE}),
    "IPAdapter": node({"model": MODEL, "image": IMAGE}, ["MODEL"]),
    "ControlNetApplyAdvanced": node(
        {"positive": CONDITIONING, "negative": CONDITIONING, "image": IMAGE}, ["CONDITIONING", "CONDITIONING"]
    ),
    "TextEncodeQwenImageEditPlus": node(
        {"clip": CLIP, "prompt": TEXT},
        ["CONDITIONING"],
        optional={"vae": VAE, "image1": IMAGE, "image2": IMAGE, "image3": IMAGE},
    ),
    "UNETLoader": node(
        {"unet_name": [["qwen_image_edit_2509_fp8_e4m3fn.safetensors"]], "weight_dtype": [["default", "fp8_e4m3fn"]]},
        ["MODEL"],
    ),
    "CLIPLoader": node(
        {"clip_name": [["qwen_2.5_vl_7b_fp8_scaled.safetensors"]], "type": [["stable_diffusion", "qwen_image"]]},
        ["CLIP"],
        optional={"device": [["default", "cpu"], {"advanced": True}]},
    ),
    "VAELoader": node({"vae_name": [["qwen_image_vae.safetensors"]]}, ["VAE"]),
    "EmptySD3LatentImage": node({"width": INT, "height": INT, "batch_size": INT}, ["LATENT"]),
    "ModelSamplingAuraFlow": node({"model": MODEL, "shift": FLOAT}, ["MODEL"]),
    "SaveImage": node({"images": IMAGE, "filename_prefix": TEXT}, output_node=True),
    "PreviewImage": node({"images": IMAGE}, output_node=True),
    "SaveImageWebsocket": node({"images": IMAGE}, output_node=True, name="SaveImageWebsocket"),
    "ShowText": node({"text": TEXT}, output_node=True),
    "FluxProUltraImageNode": node({"prompt": TEXT}, ["IMAGE"], api_node=True),
}


class ComfyLoopback:
    """The server; a context manager.

    Args:
        draw: makes the image of a workflow from it and the uploads; by default a tiny one of the workflow's hash.
        fault: what goes wrong in each job: "error", "memory", "interrupted", "empty", "hang", "websocket", "partial".
        view: what goes wrong with each image: "html", "huge", "redirect", "missing", "damaged".
        batch: images of each saving node.
        key: the only key that is let in.
        old: a server of before 2025.
        websocket_at: where the websocket redirects to.
        page: what every request is answered with instead, as HTML.
    """

    def __init__(
        self,
        draw: Drawing | None = None,
        *,
        fault: str = "",
        view: str = "",
        batch: int = 1,
        key: str = "",
        old: bool = False,
        page: str = "",
        steps: int = 4,
        without: frozenset[str] = frozenset(),
        websocket: bool = True,
        websocket_at: str = "",
    ) -> None:
        self.fault, self.view_fault, self.batch, self.key, self.old = fault, view, batch, key, old
        self.page, self.steps, self.with_websocket, self.websocket_at = page, steps, websocket, websocket_at
        self.classes = {name: info for name, info in CLASSES.items() if name not in without}
        self.requests: list[tuple[str, str]] = []
        self.prompts: list[dict[str, Any]] = []
        self.drawn: list[dict[str, Any]] = []
        self.uploads: dict[str, bytes] = {}
        self.files: dict[str, bytes] = {}
        self.history: dict[str, Any] = {}
        self.pending: list[dict[str, Any]] = []
        self.running: dict[str, Any] | None = None
        self.interrupts: list[str | None] = []
        self.deleted: list[str] = []
        self.clients: list[str] = []
        self._draw, self._sockets = draw or self._hash, dict[str, WebSocket]()
        self._release = threading.Event()
        self._stop: asyncio.Event | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        routes = [
            Route("/object_info", self._all_info),
            Route("/object_info/{name}", self._object_info),
            Route("/system_stats", self._system_stats),
            Route("/prompt", self._prompt, methods=["POST"]),
            Route("/queue", self._get_queue),
            Route("/queue", self._post_queue, methods=["POST"]),
            Route("/interrupt", self._interrupt, methods=["POST"]),
            Route("/history/{job}", self._history),
            Route("/upload/image", self._upload, methods=["POST"]),
            Route("/view", self._view),
            *([] if self.old else [Route("/api/jobs/{job}/cancel", self._cancel, methods=["POST"])]),
            *([WebSocketRoute("/ws", self._websocket)] if self.with_websocket else []),
        ]
        app = Starlette(routes=routes)
        config = uvicorn.Config(self._guarded(app), port=0, log_level="error", ws="websockets-sansio", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        while not self._server.started:
            self._release.wait(0.005)
        self._port = self._server.servers[0].sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._release.set()
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)

    def release(self) -> None:
        """Let jobs that hang go on."""
        self._release.set()

    def _serve(self) -> None:
        async def serve() -> None:
            self._more = asyncio.Event()
            worker = asyncio.create_task(self._work())
            await self._server.serve()
            worker.cancel()

        asyncio.run(serve())

    def _guarded(self, app: Any) -> Any:
        async def guarded(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                self.requests.append((scope["method"], scope["path"]))
                given = dict(scope["headers"]).get(b"authorization", b"").decode()
                if self.page:
                    return await HTMLResponse(self.page)(scope, receive, send)
                if self.key and given != f"Bearer {self.key}":
                    return await JSONResponse({"error": "unauthorized"}, 401)(scope, receive, send)
            return await app(scope, receive, send)

        return guarded

    async def _object_info(self, request: Request) -> Response:
        name = request.path_params["name"]
        return JSONResponse({name: self.classes[name]} if name in self.classes else {})

    async def _all_info(self, request: Request) -> Response:
        return JSONResponse(self.classes)

    async def _system_stats(self, request: Request) -> Response:
        return JSONResponse({"system": {"comfyui_version": "0.36.0"}, "devices": []})

    async def _prompt(self, request: Request) -> Response:
        body = await request.json()
        self.prompts.append(body)
        job = body.get("prompt_id")
        if self.old or job is None:
            job = str(uuid.uuid4())
        elif str(uuid.UUID(job)) != job:
            return JSONResponse({"error": {"type": "invalid_prompt_id", "message": "no UUID"}, "node_errors": {}}, 400)
        error, node_errors, good = self._validated(body["prompt"])
        if error:
            return JSONResponse({"error": error, "node_errors": node_errors}, 400)
        self.pending.append({"id": job, "prompt": body["prompt"], "client": body.get("client_id"), "good": good})
        self._more.set()
        return JSONResponse({"prompt_id": job, "number": len(self.prompts), "node_errors": node_errors})

    def _validated(self, prompt: dict[str, Any]) -> tuple[dict[str, Any] | None, dict[str, Any], list[str]]:
        for name, one in prompt.items():
            if one.get("class_type") not in self.classes:
                told = {"node_id": name, "class_type": one.get("class_type"), "node_title": None}
                message = f"Node '{one.get('class_type')}' not found. The custom node may not be installed."
                error = {"type": "missing_node_type", "message": message, "details": f"Node ID '#{name}'"}
                return {**error, "extra_info": told}, {}, []
        outputs = [name for name, one in prompt.items() if self.classes[one["class_type"]]["output_node"]]
        errors: dict[str, Any] = {}
        good = [name for name in outputs if self._validate(prompt, name, errors)]
        if not outputs:
            return {"type": "prompt_no_outputs", "message": "Prompt has no outputs", "details": ""}, {}, []
        failed = {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation"}
        return (None if good else failed), errors, good

    def _validate(self, prompt: dict[str, Any], name: str, errors: dict[str, Any]) -> bool:
        one, found, fine = prompt[name], [], True
        groups = self.classes[one["class_type"]]["input"]
        for input_name, config in {**groups["required"], **groups["optional"]}.items():
            value = one["inputs"].get(input_name)
            choices = config[0] if isinstance(config[0], list) else config[1].get("options") if config[1:] else None
            if value is None:
                if input_name in groups["required"]:
                    found.append(("required_input_missing", "Required input is missing", input_name))
            elif isinstance(value, list):
                fine &= self._validate(prompt, value[0], errors)
            elif config[0] == "INT" and not isinstance(value, int):
                found.append(("invalid_input_type", "Failed to convert an input value to a INT value", input_name))
            elif one["class_type"].startswith("LoadImage") and input_name == "image":
                if value not in self.uploads:
                    found.append(("custom_validation_failed", "Custom validation failed for node", f"no {value}"))
            elif choices and value not in choices:
                found.append(("value_not_in_list", "Value not in list", f"{input_name}: {value!r} not in {choices}"))
        if found:
            told = [{"type": kind, "message": words, "details": more, "extra_info": {}} for kind, words, more in found]
            errors[name] = {"errors": told, "dependent_outputs": [], "class_type": one["class_type"]}
        return fine and not found

    async def _work(self) -> None:
        while True:
            while not self.pending:
                self._more.clear()
                await self._more.wait()
            self.running = job = self.pending.pop(0)
            self._stop = asyncio.Event()
            entry = await self._run(job)
            self.running = None
            self.history[job["id"]] = entry
            await self._say(job, "executing", node=None)

    async def _run(self, job: dict[str, Any]) -> dict[str, Any]:
        await self._say(job, "execution_start")
        sampler = next((name for name, one in job["prompt"].items() if one["class_type"] == "KSampler"), "1")
        where = {"node_id": sampler, "node_type": "KSampler"}
        if self.fault == "websocket" and (socket := self._sockets.pop(job["client"], None)):
            await socket.close()
        for step in range(1, self.steps + 1):
            await self._say(job, "progress", value=step, max=self.steps, node=sampler)
            await self._preview(job, tiny_png(f"preview {step}"))
        while self.fault == "hang" and not self._release.is_set() and not self._stop.is_set():
            await asyncio.sleep(0.01)
        if self._stop.is_set() or self.fault == "interrupted":
            return await self._ended(job, "execution_interrupted", **where)
        if self.fault in ("error", "memory"):
            kind = "torch.OutOfMemoryError" if self.fault == "memory" else "RuntimeError"
            words = {"exception_type": kind, "exception_message": "mat1 and mat2 shapes cannot be multiplied"}
            return await self._ended(job, "execution_error", **where, **words, traceback=[])
        self.drawn.append(job["prompt"])
        outputs = {}
        for name in job["good"] if self.fault != "empty" else []:
            kind = "output" if job["prompt"][name]["class_type"] == "SaveImage" else "temp"
            outputs[name] = {"images": [await self._kept(job, name, kind, number) for number in range(self.batch)]}
        return await self._ended(job, "execution_success", outputs)

    async def _kept(self, job: dict[str, Any], name: str, kind: str, number: int) -> dict[str, str]:
        data = await self._draw({**job["prompt"], "": {"number": number, "node": name}}, dict(self.uploads))
        filename = f"{kind}_{name}_{len(self.files):05}_.png"
        self.files[filename] = data
        return {"filename": filename, "subfolder": "", "type": kind}

    async def _hash(self, prompt: dict[str, Any], uploads: dict[str, bytes]) -> bytes:
        return tiny_png(hashlib.sha256(json.dumps(prompt, sort_keys=True).encode()).hexdigest())

    async def _ended(self, job: dict[str, Any], event: str, outputs: Any = None, **told: Any) -> dict[str, Any]:
        await self._say(job, event, **told)
        good = event == "execution_success"
        status = {"status_str": "success" if good else "error", "completed": good}
        messages = [["execution_start", {}], [event, {"prompt_id": job["id"], **told}]]
        return {
            "prompt": [1, job["id"], job["prompt"], {}, job["good"]],
            "outputs": outputs or {},
            "status": {**status, "messages": messages},
        }

    async def _say(self, job: dict[str, Any], event: str, **told: Any) -> None:
        await self._send(job, json.dumps({"type": event, "data": {**told, "prompt_id": job["id"]}}))

    async def _preview(self, job: dict[str, Any], data: bytes) -> None:
        await self._send(job, struct.pack(">II", 1, 2) + data)

    async def _send(self, job: dict[str, Any], message: str | bytes) -> None:
        if socket := self._sockets.get(job["client"]):
            try:
                await (socket.send_text(message) if isinstance(message, str) else socket.send_bytes(message))
            except (WebSocketDisconnect, RuntimeError):
                self._sockets.pop(job["client"], None)

    async def _websocket(self, socket: WebSocket) -> None:
        if self.websocket_at:
            await socket.send_denial_response(RedirectResponse(self.websocket_at))
            return
        await socket.accept()
        client = socket.query_params.get("clientId", "")
        self.clients.append(client)
        self._sockets[client] = socket
        await socket.send_text(json.dumps({"type": "status", "data": {"status": {}, "sid": client}}))
        try:
            while True:
                await socket.receive()
        except (WebSocketDisconnect, RuntimeError):
            self._sockets.pop(client, None)

    async def _get_queue(self, request: Request) -> Response:
        def items(jobs: list[dict[str, Any]]) -> list[Any]:
            return [[number, job["id"], job["prompt"], {}, job["good"]] for number, job in enumerate(jobs)]

        running = [self.running] if self.running else []
        return JSONResponse({"queue_running": items(running), "queue_pending": items(self.pending)})

    async def _post_queue(self, request: Request) -> Response:
        gone = (await request.json()).get("delete", [])
        self._delete(gone)
        return Response()

    def _delete(self, gone: list[str]) -> bool:
        before = len(self.pending)
        self.deleted += [job["id"] for job in self.pending if job["id"] in gone]
        self.pending = [job for job in self.pending if job["id"] not in gone]
        return len(self.pending) < before

    async def _interrupt(self, request: Request) -> Response:
        self.interrupts.append((await request.json()).get("prompt_id"))
        if self._stop is not None:
            self._stop.set()
        return Response()

    async def _cancel(self, request: Request) -> Response:
        job = request.path_params["job"]
        running = self.running is not None and self.running["id"] == job
        if running and self._stop is not None:
            self.interrupts.append(job)
            self._stop.set()
        return JSONResponse({"cancelled": self._delete([job]) or running})

    async def _history(self, request: Request) -> Response:
        job = request.path_params["job"]
        return JSONResponse({job: self.history[job]} if job in self.history else {})

    async def _upload(self, request: Request) -> Response:
        async with request.form() as form:
            image: Any = form["image"]
            folder = str(form.get("subfolder", ""))
            name = f"{folder}/{image.filename}" if folder else image.filename
            self.uploads[name] = await image.read()
        return JSONResponse({"name": image.filename, "subfolder": folder, "type": "input"})

    async def _view(self, request: Request) -> Response:
        data = self.files.get(request.query_params["filename"], b"")
        if self.view_fault == "huge":

            async def endless() -> Any:
                while not await request.is_disconnected():
                    yield bytes(1 << 20)

            return StreamingResponse(endless(), media_type="image/png")
        faults: dict[str, Response] = {
            "html": HTMLResponse("<html><title>Sign in</title></html>"),
            "redirect": RedirectResponse("http://169.254.169.254/latest/meta-data"),
            "missing": Response(status_code=404),
            "damaged": Response(data[: len(data) // 2], media_type="image/png"),
        }
        return faults.get(self.view_fault) or Response(data, media_type="image/png")
