"""The peer on the other side of the house: llama.cpp, with the language model's same float32 weights as GGUF.

It lives in an environment and a process of its own (scripts/install_peers.py, llama_cpp_program.py).
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers.models.llama.modeling_llama import LlamaForCausalLM

from model.engine.apart import apart
from model.engine.request import GenerationRequest
from model.engine.token_text import TokenText
from scripts.engine_bench.bench import Bench
from scripts.engine_bench.process import ROOT, PeerFailed
from scripts.engine_bench.reference import transformers_model
from scripts.engine_bench.row import Bar, Row
from scripts.engine_bench.timed import counts_processor_time, read_one, read_together, steady_rate

if TYPE_CHECKING:
    from transformers.models.llava.modeling_llava import LlavaForConditionalGeneration

ENVIRONMENT = ROOT / ".venv-peers"
PROGRAM = Path(__file__).with_name("llama_cpp_program.py")
AGAINST = "llama.cpp, same f32 weights"

Ask = Callable[[dict[str, Any]], dict[str, Any]]


@contextmanager
def llama_cpp(bench: Bench) -> Iterator[Ask]:
    """llama.cpp with the language model of the bench's checkpoint, to be asked by commands. Raises PeerFailed."""
    if not (ENVIRONMENT / ".installed").is_file():
        raise PeerFailed("it is not installed; `python -m scripts.install_peers` builds it")
    with tempfile.TemporaryDirectory(prefix="bench-gguf-") as folder:
        apart(lambda: save_language_model(transformers_model(str(bench.folder), bench.loaded), Path(folder)))
        command = [
            str(ENVIRONMENT / "bin" / "python"),
            "-P",
            str(PROGRAM),
            folder,
            str(torch.get_num_threads()),
        ]
        command.append("processor" if counts_processor_time() else "wall")
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdin is not None and process.stdout is not None
        to_it, from_it = process.stdin, process.stdout

        def reply() -> dict[str, Any]:
            line = from_it.readline()
            if not line:
                raise PeerFailed(f"llama.cpp's process ended with status {process.wait()}")
            answer: dict[str, Any] = json.loads(line)
            return answer

        def ask(command: dict[str, Any]) -> dict[str, Any]:
            to_it.write(json.dumps(command) + "\n")
            to_it.flush()
            return reply()

        try:
            reply()  # it says its version once the weights are loaded
            yield ask
        finally:
            to_it.close()
            process.wait(timeout=60)


def save_language_model(model: LlavaForConditionalGeneration, folder: Path) -> None:
    """The language model alone as a LlamaForCausalLM, in one safetensors file."""
    with torch.device("meta"):
        alone = LlamaForCausalLM(model.config.text_config)
    alone.model, alone.lm_head = model.model.language_model, model.lm_head
    alone.save_pretrained(folder, max_shard_size="100GB")


def rows(bench: Bench) -> list[Row]:
    """Decoding of one stream and of several, and the reading of a prompt, text only on both sides."""
    names = ("decode, one stream", f"decode, {bench.plan.num_streams} streams", "prompt tokens a second")
    try:
        with llama_cpp(bench) as ask:
            ask({"do": "prompt", "ids": list(_text_request(bench, 64, 1).input_ids)})
            return [
                _decode(bench, ask, names[0], 1, Bar(0.85, 1.0)),
                _decode(bench, ask, names[1], bench.plan.num_streams, Bar(0.9, 1.1)),
                _prompt(bench, ask, names[2], Bar(1.2, 1.5)),
            ]
    except PeerFailed as error:
        return [Row.left_out(name, AGAINST, str(error)) for name in names]


def _decode(bench: Bench, ask: Ask, what: str, num_streams: int, bar: Bar) -> Row:
    plan = bench.plan
    batches = [
        [_text_request(bench, plan.short_prompt_tokens, plan.answer_tokens) for _ in range(num_streams)]
        for _ in bench.each_round()
    ]
    to_us, to_them = iter(batches), iter(batches)
    our_texts: list[str] = []
    their_texts: list[str] = []

    def ours() -> float:
        answers = read_together(bench.engine, next(to_us))
        our_texts.extend(answer.text for answer in answers)
        return steady_rate(answers)

    def theirs() -> float:
        prompts = [list(request.input_ids) for request in next(to_them)]
        answer = ask({"do": "decode", "prompts": prompts, "steps": plan.answer_tokens})
        their_texts.extend(_text(bench, ids[: plan.answer_tokens]) for ids in answer["ids"])
        return float(answer["num_tokens"] / answer["seconds"])

    numbers = bench.by_turns(ours, theirs)
    num_same = sum(one == other for one, other in zip(our_texts, their_texts, strict=True))
    note = f"{plan.answer_tokens} tokens after {plan.short_prompt_tokens}; their cache is in f16; "
    note += f"{num_same} of {len(our_texts)} answers the same"
    return Row.paired(what, AGAINST, "tokens/s", *numbers, bar, note)


def _prompt(bench: Bench, ask: Ask, what: str, bar: Bar) -> Row:
    requests = [_text_request(bench, bench.plan.history_tokens, 1) for _ in bench.each_round()]
    to_us, to_them = iter(requests), iter(requests)

    def ours() -> float:
        request = next(to_us)
        return len(request.input_ids) / read_one(bench.engine, request).first

    def theirs() -> float:
        answer = ask({"do": "prompt", "ids": list(next(to_them).input_ids)})
        return float(answer["num_tokens"] / answer["seconds"])

    numbers = bench.by_turns(ours, theirs)
    return Row.paired(what, AGAINST, "tokens/s", *numbers, bar, f"{len(requests[0].input_ids)} tokens")


def _text(bench: Bench, ids: Sequence[int]) -> str:
    """Tokens as our engine writes them."""
    token_text = TokenText(bench.loaded.tokenizer)
    return "".join([token_text.feed(token_id) for token_id in ids]) + token_text.rest()


def _text_request(bench: Bench, num_tokens: int, answer_tokens: int) -> GenerationRequest:
    return bench.talks.request(bench.talks.cold(num_tokens, ()), answer_tokens)
