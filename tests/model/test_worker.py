"""The real worker in its own process, with a tiny checkpoint, asked over HTTP by the openai client and by ours."""

from __future__ import annotations

import base64
import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from PIL import Image

import model.worker
from app.settings import DTYPES
from app.worker_client import (
    ChatRequest,
    ContextTooLong,
    Finished,
    Phase,
    Piece,
    WorkerClient,
    WorkerDied,
    WorkerError,
    WorkerEvent,
    WorkerLoading,
    WorkerRefused,
    WorkerUnreachable,
)
from app.worker_process import RestartPace, WorkerOptions, WorkerProcess
from conversations.messages import ImageRef, Message
from model.door.readiness import Readiness
from model.serving import ModelChoice
from model.worker import BROKEN_STATUS, TOKEN_VARIABLE, read_settings, run
from tests.model.door.scripted_engine import ScriptedEngine, served
from tests.model.tiny import write_tiny_checkpoint

ROOT = Path(__file__).resolve().parents[2]
LONG = 1700  # tokens: several seconds of the tiny model


@pytest.fixture(scope="module")
def checkpoint_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def worker(checkpoint_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    """One worker for all tests here: importing torch takes long."""
    log_path = tmp_path_factory.mktemp("var") / "worker.log"
    running = WorkerProcess(
        WorkerOptions(str(checkpoint_folder), device="cpu"), log_path, pace=RestartPace(first_seconds=0.1)
    )
    running.start()
    state = running.wait_until_ready(100)
    assert state.phase == "ready", f"{state}\n{log_path.read_text()}"
    yield running
    running.stop()


@pytest.fixture
def client(worker: WorkerProcess) -> WorkerClient:
    return WorkerClient(worker.base_url, worker.token, data_url=lambda colour: data_url(colour))


@pytest.fixture
def other(worker: WorkerProcess) -> Iterator[openai.OpenAI]:
    """The official client."""
    with openai.OpenAI(base_url=f"{worker.base_url}/v1", api_key=worker.token, max_retries=0) as made:
        yield made


def data_url(colour: str, kind: str = "PNG", **options: Any) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def user(*parts: str | dict[str, Any]) -> list[Any]:
    content = [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
    return [{"role": "user", "content": content}]


def picture(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def health(worker: WorkerProcess) -> dict[str, Any]:
    return dict(httpx.get(f"{worker.base_url}/health", timeout=10).json())


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.02)


# --- the openai client, unchanged -----------------------------------------------------------------


def test_the_openai_client_lists_the_model(other: openai.OpenAI) -> None:
    assert [model.id for model in other.models.list()] == ["tiny"]
    assert other.models.retrieve("tiny").id == "tiny"


def test_the_openai_client_gets_a_whole_answer_about_a_picture(other: openai.OpenAI) -> None:
    answer = other.chat.completions.create(
        model="tiny", messages=user("What is it?", picture(data_url("red"))), temperature=0, max_tokens=12
    )
    choice = answer.choices[0]
    assert choice.message.role == "assistant" and choice.message.content
    assert choice.finish_reason in ("stop", "length")
    assert answer.usage is not None and answer.usage.completion_tokens <= 12
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_the_openai_client_streams_the_same_answer_with_its_usage(other: openai.OpenAI) -> None:
    asked: dict[str, Any] = {
        "model": "tiny", "messages": user(picture(data_url("red")), "What is it?"), "temperature": 0, "max_tokens": 12
    }  # fmt: skip
    whole = other.chat.completions.create(**asked)
    chunks = list(other.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert reasons[-1] == whole.choices[0].finish_reason and not any(reasons[:-1])
    assert chunks[-1].usage == whole.usage


def test_a_seed_gives_the_same_answer_again_and_a_stop_text_ends_it(other: openai.OpenAI) -> None:
    def ask(**options: Any) -> Any:
        answer = other.chat.completions.create(
            model="tiny", messages=user("Tell me"), temperature=1.0, top_p=0.9, max_tokens=40, **options
        )
        return answer.choices[0]

    first = ask(seed=5).message.content
    assert ask(seed=5).message.content == first != ask(seed=6).message.content
    stop = first[3:5]
    stopped = ask(seed=5, stop=["never to be seen", stop])
    assert stopped.message.content == first[: first.index(stop)] and stopped.finish_reason == "stop"


def test_the_order_of_picture_and_question_is_kept(other: openai.OpenAI) -> None:
    def ask(*parts: str | dict[str, Any]) -> str | None:
        answer = other.chat.completions.create(
            model="tiny", messages=user(*parts), temperature=0, max_tokens=20
        )
        return answer.choices[0].message.content

    red = picture(data_url("red"))
    assert ask("What is it?", red) != ask(red, "What is it?")


def test_a_whole_conversation_with_a_system_prompt_is_answered(other: openai.OpenAI) -> None:
    messages: Any = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi."},
        *user("And this?", picture(data_url("blue")), picture(data_url("green"))),
    ]
    assert (
        other.chat.completions.create(model="tiny", messages=messages, max_tokens=3).choices[0].finish_reason
    )


def test_a_wrong_token_is_an_authentication_error(worker: WorkerProcess) -> None:
    with (
        openai.OpenAI(base_url=f"{worker.base_url}/v1", api_key="guessed", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError) as refused,
    ):
        stranger.chat.completions.create(model="tiny", messages=user("Hi"))
    assert refused.value.code == "unauthorized"


def test_another_model_is_not_found(other: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="ask for 'tiny'") as refused:
        other.chat.completions.create(model="gpt-4", messages=user("Hi"))
    assert refused.value.code == "model_not_found"


@pytest.mark.parametrize("stream", [False, True])
def test_too_long_a_conversation_is_refused_with_the_counts(other: openai.OpenAI, stream: bool) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        other.chat.completions.create(model="tiny", messages=user("long " * 3000), stream=stream)
    assert refused.value.code == "context_length_exceeded"
    body: Any = refused.value.body
    assert body["prompt_tokens"] > body["context_tokens"] == 2048


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ({"n": 2}, "invalid_request", "one answer"),
        ({"messages": user(picture("http://example.com/a.png"))}, "invalid_picture", "remote pictures"),
        ({"messages": user(picture("data:image/png;base64,AAAA"))}, "invalid_picture", "accepted"),
        ({"messages": user("a\0b")}, "invalid_request", "NUL"),
        ({"temperature": 9}, "invalid_request", "temperature is 9"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    other: openai.OpenAI, body: dict[str, Any], code: str, words: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=words) as refused:
        other.chat.completions.create(**{"model": "tiny", "messages": user("Hi"), **body})
    assert refused.value.code == code


# --- the door -------------------------------------------------------------------------------------


def test_health_tells_the_model_without_a_token(worker: WorkerProcess) -> None:
    told = health(worker)
    assert (told["state"], told["model"], told["template"], told["context_tokens"]) == (
        "ready",
        "tiny",
        "llava_v0",
        2048,
    )
    assert told["system"].startswith("A chat between") and told["about"]


def test_what_is_no_request_gets_an_error_object(worker: WorkerProcess) -> None:
    token = {"Authorization": f"Bearer {worker.token}", "Content-Type": "application/json"}
    broken = httpx.post(f"{worker.base_url}/v1/chat/completions", headers=token, content=b"{")
    assert broken.status_code == 400 and broken.json()["error"]["code"] == "invalid_request"
    assert httpx.get(f"{worker.base_url}/docs").json()["error"]["code"] == "not_found"


# --- our own client -------------------------------------------------------------------------------


def answer_of(client: WorkerClient, question: str, **settings: Any) -> list[WorkerEvent]:
    return list(client.stream(ChatRequest((Message("user", (question,)),), **settings)))


def test_our_client_gets_phases_pieces_and_counts(client: WorkerClient) -> None:
    request = ChatRequest(
        (Message("user", (ImageRef("red"), "What is it?")),), temperature=0.0, max_new_tokens=12
    )
    events = list(client.stream(request))
    assert Phase("reading") in events
    assert "".join(event.text for event in events if isinstance(event, Piece))
    finished = events[-1]
    assert isinstance(finished, Finished) and finished.num_prompt_tokens and finished.num_completion_tokens


def test_our_client_is_told_when_the_conversation_is_too_long(client: WorkerClient) -> None:
    with pytest.raises(ContextTooLong) as refused:
        answer_of(client, "long " * 3000)
    assert refused.value.context_tokens == 2048 and (refused.value.prompt_tokens or 0) > 2048


def started(client: WorkerClient, question: str) -> Iterator[WorkerEvent]:
    """A long answer whose first piece has come."""
    events = client.stream(
        ChatRequest((Message("user", (question,)),), temperature=1.0, top_p=1.0, max_new_tokens=LONG, seed=3)
    )
    for event in events:
        if isinstance(event, Piece):
            return events
    raise AssertionError("no piece came")


def test_closing_the_stream_stops_the_generation(client: WorkerClient, worker: WorkerProcess) -> None:
    events = started(client, "A long story")
    before = health(worker)["num_tokens_made"]
    events.close()  # type: ignore[attr-defined]
    wait_for(lambda: health(worker)["num_running"] == 0, seconds=3)
    after = health(worker)["num_tokens_made"]
    time.sleep(0.3)
    assert health(worker)["num_tokens_made"] == after
    assert after - before < LONG / 2


def test_leaving_a_whole_answer_stops_it_too(worker: WorkerProcess) -> None:
    body = {"messages": user("Hi"), "max_tokens": LONG, "temperature": 1.0, "top_p": 1.0, "seed": 3}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{worker.base_url}/v1/chat/completions",
            headers={"Authorization": f"Bearer {worker.token}"},
            json=body,
            timeout=httpx.Timeout(5.0, read=0.1),
        )
    wait_for(lambda: health(worker)["num_running"] == 0, seconds=3)
    assert health(worker)["num_waiting"] == 0


def test_who_waits_is_told_the_place_and_leaving_the_line_frees_it(
    client: WorkerClient, worker: WorkerProcess
) -> None:
    first = started(client, "First")
    second = client.stream(ChatRequest((Message("user", ("Second",)),), max_new_tokens=2))
    assert next(event for event in second if isinstance(event, Phase)) == Phase("queued", 1)
    third = client.stream(ChatRequest((Message("user", ("Third",)),), max_new_tokens=2))
    assert next(event for event in third if isinstance(event, Phase)) == Phase("queued", 2)
    second.close()  # type: ignore[attr-defined]
    assert next(event for event in third if event == Phase("queued", 1))
    first.close()  # type: ignore[attr-defined]
    assert isinstance(list(third)[-1], Finished)


# --- its life -------------------------------------------------------------------------------------


def test_a_killed_worker_is_told_in_mid_answer_and_the_next_one_answers(tmp_path: Path) -> None:
    """With an engine that plays a script: how a death is seen does not depend on the network."""
    worker = WorkerProcess(
        WorkerOptions(),
        tmp_path / "log",
        pace=RestartPace(first_seconds=0.1),
        command=lambda port: [sys.executable, "-m", "tests.model.door.scripted_engine", str(port)],
    )
    worker.start()
    try:
        assert worker.wait_until_ready(60).phase == "ready"
        client = WorkerClient(worker.base_url, worker.token)
        events = started(client, "Count")
        assert worker.process_id is not None
        os.kill(worker.process_id, signal.SIGKILL)
        with pytest.raises(WorkerDied):
            list(events)
        wait_for(lambda: worker.state.num_restarts >= 1 and worker.state.phase in ("loading", "starting"))
        seen_loading = threading.Event()

        def back() -> bool:
            try:
                started(client, "Count").close()  # type: ignore[attr-defined]
            except WorkerLoading:
                seen_loading.set()
            except (WorkerUnreachable, WorkerDied):
                pass  # not listening yet
            else:
                return True
            return False

        wait_for(back, seconds=60)
        assert seen_loading.is_set()
    finally:
        worker.stop()


def test_on_sigterm_running_answers_end_with_a_reason_within_ten_seconds(tmp_path: Path) -> None:
    """With an engine that plays a script: how the server ends does not depend on the network."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tests.model.door.scripted_engine", str(port)]
    with (tmp_path / "log").open("wb") as log:
        child = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        client = WorkerClient(f"http://127.0.0.1:{port}")
        wait_for(lambda: _ready(client), seconds=30)
        events = started(client, "Count")
        begun = time.monotonic()
        child.terminate()
        with pytest.raises(WorkerRefused, match="shutting down") as refused:
            list(events)
        assert refused.value.code == "shutting_down"
        assert child.wait(12) == 0 and time.monotonic() - begun < 10
    finally:
        child.kill()
        child.wait()


def _ready(client: WorkerClient) -> bool:
    try:
        return client.health().state == "ready"
    except WorkerError:
        return False  # not listening yet


def test_the_door_imports_no_torch() -> None:
    program = "import sys, model.worker; print('torch' in sys.modules, 'transformers' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["False", "False"]


def test_flags_go_before_the_environment() -> None:
    environment = {"LLAVA_LOOP_WORKER_PORT": "9000", "LLAVA_LOOP_DTYPE": "float16", TOKEN_VARIABLE: "secret"}
    settings = read_settings(["--port", "9001", "--template", "vicuna_v1"], environment)
    assert (settings.port, settings.choice.dtype, settings.token) == (9001, "float16", "secret")
    assert (settings.choice.template, settings.host, settings.reserved_port) == (
        "vicuna_v1",
        "127.0.0.1",
        False,
    )
    assert read_settings([], {}).choice.template is None


def test_the_default_number_format_is_left_to_the_device_here_as_on_the_page() -> None:
    assert read_settings([], {}).choice.dtype == ModelChoice("x").dtype == "auto"
    for dtype in DTYPES:
        assert read_settings(["--dtype", dtype], {}).choice.dtype == dtype


def test_a_port_that_is_taken_is_told_in_words(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert run(read_settings(["--port", str(taken.getsockname()[1])], {})) == 2
    assert "choose another --port" in caplog.text


def test_a_folder_that_is_not_there_is_told_before_torch_is_imported(tmp_path: Path) -> None:
    program = (
        "import sys; from model.door.readiness import Readiness; from model.serving import *\n"
        "readiness = Readiness('x'); load_in_background(ModelChoice(sys.argv[1]), readiness).join()\n"
        "print(readiness.health()['reason'], 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "nothing")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert "There is no folder" in done.stdout and done.stdout.split()[-1] == "False"


def test_a_broken_engine_ends_the_worker_with_a_status_and_the_reason_as_last_words(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def load(choice: ModelChoice, readiness: Readiness) -> None:
        readiness.ready(served(ScriptedEngine()))
        threading.Timer(0.1, readiness.broken, ("The engine broke with RuntimeError: CUDA error.",)).start()

    monkeypatch.setattr(model.worker, "load_in_background", load)
    caplog.set_level("INFO")
    assert run(read_settings(["--port", "0"], {})) == BROKEN_STATUS
    assert "CUDA error" in caplog.records[-1].getMessage()


@pytest.mark.parametrize(("host", "status"), [("127.0.0.1:8001", 200), ("evil.example", 403)])
def test_a_local_worker_without_a_token_answers_to_local_names_only(
    monkeypatch: pytest.MonkeyPatch, host: str, status: int
) -> None:
    answers: list[int] = []

    def load(choice: ModelChoice, readiness: Readiness) -> None:
        def ask() -> None:
            url = f"http://127.0.0.1:{port}/health"
            answers.append(httpx.get(url, headers={"Host": host}, trust_env=False).status_code)
            readiness.broken("enough")

        threading.Thread(target=ask).start()

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(model.worker, "load_in_background", load)
    run(read_settings(["--port", str(port)], {}))
    assert answers == [status]
