"""The engine: many answers at once from one network (docs/decisions/0008).

Pictures become ids of their own, so that a prompt is a list of numbers; each running request has a slot with its keys
and values; a new one goes to the slot that shares its longest prefix; and in every step all running answers get a token
while one prompt is read in chunks. This is the face towards the server's loop; the work is done in EngineThread.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from model.engine.adapter import Adapter, read_adapter
from model.engine.apart import apart
from model.engine.cache_budget import choose_budget
from model.engine.end_of_sequence import end_of_sequence_ids
from model.engine.engine_thread import EngineThread
from model.engine.errors import AdapterError, CacheTooSmall, EngineError, GenerationFailed, UnknownAdapter
from model.engine.job import Job
from model.engine.numbers import EngineNumbers
from model.engine.request import Event, Finished, GenerationRequest
from model.engine.sampling import new_chance
from model.engine.scheduler import ON_A_CPU, ON_A_GPU, ChunkSizes, Scheduler
from model.engine.slots import SlotTable
from model.engine.step import Stepper
from model.engine.streams import AnswerStream
from model.engine.task import Task, room_for_answer
from model.engine.virtual_ids import PictureCountError, VirtualIds

if TYPE_CHECKING:
    from model.checkpoint import LoadedModel

NUM_SLOTS = 32
SPARE_SLOTS = 32
"""More conversations than these are remembered only as far as others are not; the budget bounds what they take."""


class SlotEngine:
    """Makes answers with one loaded model and its adapters, up to `num_slots` at once."""

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        max_waiting: int = 64,
        cache_bytes: int | None = None,
        num_slots: int = NUM_SLOTS,
        on_broken: Callable[[str], object] = lambda reason: None,
        take_weights: bool = False,
        chunk_sizes: ChunkSizes | None = None,
    ) -> None:
        """`max_waiting` is how many more there may be than slots. `cache_bytes` None takes a share of the memory there
        is. `on_broken` hears once, in the engine's thread, why no answer can be made any more. With `take_weights`
        nobody else can use the model afterwards: its weights are kept only in the order that the engine computes with.
        """
        self._loaded = loaded
        self._stepper = Stepper(loaded, num_slots + SPARE_SLOTS, take_weights=take_weights)
        shape = self._stepper.network.shape
        self._token_bytes = shape.token_bytes
        most_useful = num_slots * loaded.context_tokens * shape.token_bytes
        self._budget_bytes = choose_budget(cache_bytes, shape.devices, most_useful)
        table = SlotTable(num_slots, max(1, self._budget_bytes // shape.token_bytes), num_spare=SPARE_SLOTS)
        self._virtual_ids = VirtualIds(self._stepper.network.vocab_size, loaded.num_patches)
        self._end_ids = end_of_sequence_ids(loaded)
        self._adapters: dict[str, Adapter] = {}
        sizes = chunk_sizes or (ON_A_GPU if shape.devices[0].type == "cuda" else ON_A_CPU)
        self._scheduler = Scheduler(table, sizes)
        self._thread = EngineThread(self._scheduler, self._stepper, max_waiting, on_broken)

    @property
    def num_running(self) -> int:
        """Answers being made right now, those whose prompt is being read included."""
        return len(self._scheduler.running)

    @property
    def num_waiting(self) -> int:
        """Requests in line."""
        return len(self._scheduler.line)

    @property
    def num_tokens_made(self) -> int:
        """All tokens ever drawn."""
        return self._thread.counts.num_tokens_made

    def numbers(self) -> EngineNumbers:
        """What was done and is held."""
        counts = self._thread.counts
        with self._thread.lock:
            return EngineNumbers(
                num_running=self.num_running,
                num_waiting=self.num_waiting,
                num_tokens_made=counts.num_tokens_made,
                num_prompt_tokens=counts.num_prompt_tokens,
                num_reused_tokens=counts.num_reused_tokens,
                num_steps=counts.num_steps,
                num_rows=counts.num_rows,
                cache_bytes=self._stepper.cache_bytes,
                cache_budget_bytes=self._budget_bytes,
                num_slots=self._scheduler.table.num_slots,
                num_pictures_encoded=self._stepper.pictures.num_encoded,
                num_pictures_remembered=self._stepper.pictures.num_remembered,
            )

    @property
    def adapters(self) -> tuple[str, ...]:
        """The names of the loaded adapters, in the order in which they came."""
        return tuple(self._adapters)

    async def load_adapter(self, name: str, folder: Path) -> None:
        """Makes `name` a model that requests may ask for, in place of one of that name. Raises AdapterError."""
        if name == self._loaded.name:
            raise AdapterError(f"{name!r} is the base model's name; give the adapter in {folder} another.")
        adapter = await asyncio.to_thread(apart, lambda: read_adapter(name, folder, self._loaded.model))
        replaced = self._adapters.get(name)
        self._adapters[name] = adapter
        if replaced is not None:
            self._thread.retire(replaced.key)

    async def unload_adapter(self, name: str) -> None:
        """Frees it; requests that are on their way with it are answered first. Raises UnknownAdapter."""
        if name not in self._adapters:
            raise UnknownAdapter(name, self.adapters)
        self._thread.retire(self._adapters.pop(name).key)

    def check_room(self) -> None:
        """Raises QueueFull, EngineClosed or EngineBroken where any request would be refused now; never waits."""
        self._thread.check_room()

    async def stream(self, request: GenerationRequest) -> AsyncGenerator[Event]:
        """The events of one answer, Finished last; raises an EngineError. Closing it cancels within one step."""
        task = self._task(Job(request, asyncio.get_running_loop()))
        del request  # the job lets go of its pictures when they have been read
        self._thread.join(task)
        try:
            while True:
                event = await task.job.events.get()
                if isinstance(event, EngineError):
                    raise event
                yield event
                if isinstance(event, Finished):
                    return
        finally:
            self._thread.leave(task)

    async def close(self, reason: str = "the worker is shutting down") -> None:
        """Ends everything that waits or runs with EngineClosed and joins the thread. Safe to call twice."""
        await asyncio.to_thread(self._thread.close, reason)

    def _task(self, job: Job) -> Task:
        """Everything about a request that can be found wrong is found here."""
        request = job.request
        max_tokens = room_for_answer(request, self._loaded.context_tokens)
        adapter = self._adapters.get(request.model)
        if adapter is None and request.model != self._loaded.name:
            raise UnknownAdapter(request.model, self.adapters)
        try:
            prompt = self._virtual_ids.prompt(
                request.input_ids,
                self._loaded.image_token_id,
                [picture.sha256 for picture in request.pictures],
            )
        except PictureCountError as error:
            raise GenerationFailed("PictureCountError", str(error)) from error
        answer = AnswerStream(
            request.sampling,
            self._loaded.tokenizer,
            end_ids=self._end_ids,
            max_tokens=max_tokens,
            num_prompt_tokens=len(request.input_ids),
        )
        task = Task(job, prompt.ids, prompt.spans, max_tokens, answer, new_chance(request.sampling), adapter)
        if task.most_tokens > self._scheduler.table.budget_tokens:
            raise CacheTooSmall(task.most_tokens, task.most_tokens * self._token_bytes, self._budget_bytes)
        return task
