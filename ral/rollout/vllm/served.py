"""ASGI middleware of a vLLM server: requests of a trainer, beside the server's own interface.

POST /ral/ask: a question (ral.rollout.vllm.wire), with the tag of the weights that must answer it. POST
/ral/bucket/NAME: a file. POST /ral/push: load the files sent before, as weights with a tag, or as adapters for frozen
weights that the server holds. GET /ral/facts: facts about the model. Status 409 where the server holds other weights
than a request needs. Where VLLM_API_KEY is set, requests must carry it.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from ral.rollout.vllm.clip_times import keep_clip_times
from ral.rollout.vllm.facts import facts_of
from ral.rollout.vllm.inside import adapters_in, answer_of, one_line, parameters_of, prompts_of
from ral.rollout.vllm.weights import MEMORY
from ral.rollout.vllm.wire import Message, unpacked

OK, REFUSED, FORBIDDEN, OTHER_WEIGHTS = 200, 400, 401, 409
"""HTTP status codes: done; refused (the body says why); wrong key; the server has other weights."""

keep_clip_times()


class Served:
    """The middleware around the server's `app`.

    pushed: tag of the weights that the engine holds; None before the first push. base: tag of its frozen weights.
    adapters: vLLM's request for the adapters, sent along with prompts; None where there are none.
    """

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app, self.pushed, self.lock = app, None, asyncio.Lock()
        self.base: str | None = None
        self.adapters: Any = None
        base = MEMORY if MEMORY.is_dir() else Path(tempfile.gettempdir())
        self.folder = base / f"ral-served-{uuid.uuid4().hex}"
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer requests below /ral/, and pass all others on to the server. An error is status 400 with one line."""
        if scope["type"] != "http" or not scope["path"].startswith("/ral/"):
            await self.app(scope, receive, send)
            return
        key, headers = os.environ.get("VLLM_API_KEY"), dict(scope["headers"])
        try:
            if key and headers.get(b"authorization") != f"Bearer {key}".encode():
                status, answer = FORBIDDEN, {"error": "the key is not VLLM_API_KEY of the server"}
            else:
                status, answer = await self.answer(
                    scope["path"].split("/")[2:], scope["app"].state.engine_client, receive
                )
        except Exception as error:
            status, answer = REFUSED, {"error": one_line(error)}
        content = json.dumps(answer).encode()
        await send(
            {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]}
        )
        await send({"type": "http.response.body", "body": content})

    async def answer(self, path: list[str], engine: Any, receive: Any) -> tuple[int, dict[str, Any]]:
        """Do what a request asks for; return HTTP status and reply. path: parts of the path after /ral/.

        engine: vLLM's engine client of the server.
        """
        if path == ["facts"]:
            config = engine.vllm_config
            dtype = str(config.model_config.dtype).removeprefix("torch.")
            found = facts_of(config.model_config.hf_config, dtype, config.additional_config.get("banned"))
            return OK, found | {"adapters": getattr(config.lora_config, "max_lora_rank", 0)}
        if path[0] == "bucket":
            await self.keep(Path(path[1]).name, receive)
            return OK, {}
        message = unpacked(b"".join([part async for part in body(receive)]))
        if path == ["push"]:
            return await self.push(engine, message)
        if message.head["weights"] != self.pushed:
            return OTHER_WEIGHTS, {"error": "other weights"}
        asked = zip(prompts_of(message), parameters_of(message), strict=True)
        return OK, {"answers": await asyncio.gather(*[one(engine, *each, self.adapters) for each in asked])}

    async def keep(self, name: str, receive: Any) -> None:
        """Write the body of a request to the file `name`, in a folder of this server's own."""
        self.folder.mkdir(exist_ok=True)
        with (self.folder / name).open("wb") as file:
            async for part in body(receive):
                file.write(part)

    async def push(self, engine: Any, message: Message) -> tuple[int, dict[str, Any]]:
        """Load the files that were sent, as weights or adapters, and drop the caches; return HTTP status and reply.

        message.head: names of the files, and tags of the weights. Status 409 where only adapters were sent and the
        server does not hold their frozen weights. RuntimeError where the prefix cache cannot be reset, as other clients
        use it.
        """
        head = message.head
        async with self.lock:
            if self.pushed == head["weights"]:
                return OK, {}
            if not head["files"] and self.base != head["base"]:
                return OTHER_WEIGHTS, {"error": "other frozen weights"}
            self.pushed = None
            if files := [str(self.folder / name) for name in head["files"]]:
                self.base = None
                await engine.collective_rpc("take_weights", args=(files,))
                self.base = head["base"]
            self.adapters = await self.loaded(engine) if head["adapters"] else None
            await engine.reset_encoder_cache()
            await engine.reset_mm_cache()
            if not await engine.reset_prefix_cache():
                raise RuntimeError("the prefix cache could not be reset: others ask this server too")
            for name in head["files"] if head["adapters"] else ():
                (self.folder / name).unlink()
            if not head["adapters"]:
                shutil.rmtree(self.folder)
            self.pushed = head["weights"]
        return OK, {}

    async def loaded(self, engine: Any) -> Any:
        """Load the adapters that were sent, in place of earlier ones; return vLLM's request for them.

        Their files stay, since vLLM may read them again after dropping them. RuntimeError where vLLM does not load
        them.
        """
        if not await engine.add_lora(adapters_in(str(self.folder), load=True)):
            raise RuntimeError("the adapters could not be loaded")
        return adapters_in(str(self.folder))


async def body(receive: Any) -> Any:
    """Yield the parts of a request's body, as bytes. ConnectionError where the trainer is gone."""
    more = True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ConnectionError("the trainer is gone")
        more = event.get("more_body", False)
        yield event.get("body", b"")


async def one(engine: Any, prompt: Any, parameters: Any, adapters: Any) -> dict[str, Any]:
    """Return the engine's responses to one prompt (`answer_of`). adapters: vLLM's request for them; None without
    adapters.
    """
    asked = engine.generate(prompt, parameters, f"ral-{uuid.uuid4().hex}", lora_request=adapters)
    outputs = [output async for output in asked]
    return answer_of(outputs[-1])
