"""From settings to a running page. The order matters: the worker is started first, because loading its weights and
importing the page's framework each take seconds, and so they run side by side."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from app.recent_models import RecentModels
from app.settings import ROOT, Settings, parse
from app.worker_client import WorkerClient
from app.worker_process import WorkerOptions, WorkerProcess

if TYPE_CHECKING:
    from gradio import Blocks

    from app.chat_events import ChatEvents
    from app.library_exports import LibraryExports
    from app.picture_routes import Tickets
    from app.result_parts import ResultParts
    from app.training_parts import TrainingParts
    from conversations.store import ConversationStore

RUNS = ROOT / "runs"
"""A folder for each training job, and what a worker of ours takes for its --adapter-root where nothing else is said."""

MAX_UPLOAD = "16mb"
STATE_SESSIONS = 200
SECONDS_TO_STOP = 10.0
"""For an export that is being made, so that it leaves nothing half behind."""


def main(argv: list[str] | None = None) -> None:
    """Run until interrupted."""
    settings = parse(argv)
    given = dict(os.environ)
    # Nothing here may phone home; both are read when the libraries are imported. The worker may load from the Hub.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.chdir(ROOT)
    signal.signal(signal.SIGTERM, _end)
    worker = None
    try:
        _check_port(settings)
        _make_folder(settings.data_folder)
        recent = RecentModels(settings.data_folder / "recent_models.json")
        worker = _start_worker(settings, given, recent)
        _serve(settings, worker, recent, given)
    except KeyboardInterrupt:
        print("Stopping.")
    except CannotStart as error:
        print(f"LLaVA Loop cannot start: {error}", file=sys.stderr)
        sys.exit(1)
    finally:
        if worker is not None:
            worker.stop()


class CannotStart(Exception):
    """Why the page cannot be served, and what to do, in a sentence or two."""


def _check_port(settings: Settings) -> None:
    """Raises CannotStart for an address that cannot be had, before anything is started for it."""
    import socket

    if not settings.port:
        return
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        with socket.socket(family) as wanted:
            wanted.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            wanted.bind((settings.host, settings.port))
    except OSError as error:
        raise CannotStart(
            f"{settings.host}:{settings.port} cannot be listened on ({error.strerror}). "
            "Choose another with --port (0 takes a free one) or --host."
        ) from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotStart(
            f"the folder {folder} cannot be made ({error.strerror}); choose another place with --database-url."
        ) from error


def _start_worker(
    settings: Settings, environment: Mapping[str, str], recent: RecentModels
) -> WorkerProcess | None:
    """The local worker, or None where one runs elsewhere."""
    if settings.worker_url is not None:
        return None
    options = WorkerOptions(
        model=settings.model,
        template=settings.template,
        dtype=settings.dtype,
        device=settings.device,
        model_base=settings.model_base,
        adapter=settings.adapter,
        vision_tower=settings.vision_tower,
        quantize=settings.quantize,
        device_map=settings.device_map,
    )
    worker = WorkerProcess(
        options, settings.data_folder / "worker.log", environment=environment, on_ready=recent.remember
    )
    worker.start()
    return worker


def _serve(
    settings: Settings, worker: WorkerProcess | None, recent: RecentModels, environment: Mapping[str, str]
) -> None:
    from app.chat_events import ChatEvents
    from app.jobs import Jobs
    from app.library_exports import LibraryExports
    from app.model_picker import ModelPicker
    from app.picture_routes import Tickets
    from app.prompt_view import PromptView
    from app.result_parts import ResultParts
    from app.training_parts import TrainingParts
    from app.turns import Turns
    from app.upkeep import Upkeep
    from app.visitors import username_of
    from app.worker_rest import WorkerRest
    from app.worker_status import StatusWatch
    from conversations.errors import LogError
    from conversations.store import ConversationStore

    try:
        store = ConversationStore.open(settings.database_url, settings.data_folder / "pictures")
    except LogError as error:
        raise CannotStart(str(error)) from error
    upkeep = Upkeep(store)
    rest = WorkerRest(worker)
    jobs = Jobs(store.jobs, RUNS, environment=environment, on_running=rest.on_running, on_ended=rest.on_ended)
    try:
        store.recover()
        address, token = str(settings.worker_url), settings.worker_token
        if worker is not None:
            address, token = worker.base_url, worker.token
        client = WorkerClient(address, token, data_url=store.images.data_url)
        watch = StatusWatch(client, worker)
        watch.start()
        upkeep.start()
        jobs.start()
        tickets = Tickets()
        turns = Turns(store, client, lambda: watch.now)
        events = ChatEvents(
            store,
            turns,
            tickets,
            lambda: watch.now,
            restart=worker.restart if worker is not None else None,
            may_restart=lambda owner: settings.is_admin(username_of(owner)),
            prompts=PromptView(store, client),
            models=ModelPicker(worker, recent) if worker is not None else None,
        )
        exports = LibraryExports(store, settings.data_folder / "exports", client)
        training = TrainingParts.of(
            jobs,
            store,
            exports,
            settings.data_folder,
            settings.database_url,
            environment,
            recent=recent,
            running=lambda: worker.options if worker is not None else None,
        )
        results = ResultParts.of(
            jobs,
            RUNS,
            client,
            lambda urls: WorkerClient(address, token, data_url=urls),
            lambda: watch.now,
            worker,
            environment,
        )
        page = launch(settings, store, tickets, events, exports, training, results)
        print(f"LLaVA Loop is at {page.local_url}", flush=True)
        if settings.share:
            print(f"Public link: {page.share_url or 'none, the relay could not be reached'}", flush=True)
        page.block_thread()
        watch.stop()
        exports.job.stop(SECONDS_TO_STOP)
        training.stop()
        results.stop()
    finally:
        jobs.close()
        upkeep.stop()
        store.close()


def launch(
    settings: Settings,
    store: ConversationStore,
    tickets: Tickets,
    events: ChatEvents,
    exports: LibraryExports | None = None,
    training: TrainingParts | None = None,
    results: ResultParts | None = None,
) -> Blocks:
    """Import the framework, build the page and serve it from a thread. Returns once it answers. `exports`: where the
    library's data sets are made; without it the page has no library. `training`: without it there is no such view,
    and without `results` nothing can be done with what a run brought out."""
    os.environ.setdefault("GRADIO_TEMP_DIR", str((settings.data_folder / "uploads").resolve()))
    from starlette.middleware import Middleware

    from app import chat_tab, theme
    from app.conversation_file import ConversationFiles
    from app.library_events import LibraryEvents
    from app.library_imports import LibraryImports
    from app.library_routes import LibraryRoutes
    from app.logins import Logins, route_owner
    from app.open_routes import OpenRoutes
    from app.outer_door import OuterDoor, unforeseen
    from app.page import STYLES, build_page
    from app.picture_routes import PictureRoutes
    from app.sign_in import SignIn
    from app.visitors import VisitorCookie, username_of

    if warning := settings.warning():
        print(warning, file=sys.stderr)
    everyone = settings.everyone
    alone = settings.local_only and not everyone

    def may_review(owner: str) -> bool:
        return settings.is_admin(username_of(owner))

    owner_of = route_owner(bool(everyone))
    routes = PictureRoutes(store, tickets, owner_of, chat_tab.EXAMPLES).routes()
    routes += ConversationFiles(store, owner_of).routes()
    library = None
    if exports is not None:
        library = LibraryEvents(store, exports, may_review)
        imports = LibraryImports(store, settings.data_folder / "imports", exports.job)
        routes += LibraryRoutes(store, exports, imports, owner_of, may_review).routes()
    if results is not None:
        routes += results.routes(owner_of, may_review)
    outer = OuterDoor(partial(VisitorCookie, local_names_only=alone))
    doors = [Middleware(OpenRoutes, own=routes)]
    if everyone:
        doors.append(Middleware(SignIn))
    let_go = (results.let_go,) if results is not None else ()
    page = build_page(
        events,
        library,
        training.events(may_review, *let_go) if training is not None else None,
        results.events(may_review) if results is not None else None,
    )
    page.queue(max_size=256)
    with _port(settings) as port:
        page.launch(
            server_name=settings.host,
            server_port=port,
            share=settings.share,
            auth=Logins(everyone).check if everyone else None,
            theme=theme.theme(),
            css_paths=STYLES,
            head=chat_tab.head_html(),
            app_kwargs={
                "middleware": doors,
                "routes": routes,
                "lifespan": outer.lifespan,
                "exception_handlers": {Exception: unforeseen},
            },
            max_file_size=MAX_UPLOAD,
            state_session_capacity=STATE_SESSIONS,
            run_history=False,
            enable_monitoring=False,
            show_error=False,
            ssr_mode=False,
            footer_links=[],
            favicon_path=str(Path(__file__).with_name("favicon.svg")),
            prevent_thread_lock=True,
            quiet=True,
        )
    if not outer.stands:
        page.close(verbose=False)
        raise RuntimeError(
            "the framework served the page without its outer door, which app/outer_door.py makes"
        )
    return page


@contextmanager
def _port(settings: Settings) -> Iterator[int]:
    """The port to listen on. One that was free a moment ago may be another program's by now, so it is held until ours
    listens there, which Linux allows beside it."""
    if settings.port:
        yield settings.port
        return
    import socket

    with socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET) as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((settings.host, 0))
        port = int(held.getsockname()[1])
        if sys.platform != "linux":
            held.close()
        yield port


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
