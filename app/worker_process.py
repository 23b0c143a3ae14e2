"""Starts the local worker as a child process, watches it and restarts it when it dies or hangs.

The child listens at a loopback port that this process holds for it (so the address stays the same across restarts),
asks for a secret that travels in its environment, and ends by itself when this process dies.
"""

from __future__ import annotations

import atexit
import os
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from app.model_look import LookState, ModelLook
from app.model_trial import ModelSwitch, ModelTrial
from app.worker_child import (
    HOST,
    WorkerOptions,
    child_environment,
    death_in_words,
    end,
    hold_a_free_port,
    look_command,
    spawn,
    worker_command,
    write_down,
)
from app.worker_client import WorkerClient, WorkerError
from app.worker_log import WorkerLog

__all__ = ["RestartPace", "WorkerOptions", "WorkerProcess", "WorkerState"]

END_SECONDS = 12.0
"""How long a worker that is told to end may take; it gives its running answers six of them."""

LAST_WORDS_SECONDS = 10.0
"""For what a child wrote before it died, where something that it left behind still holds its output open."""


@dataclass(frozen=True, slots=True)
class WorkerState:
    """What the page shows about the local worker.

    `fraction` of the loading, 0 to 1; `reason` in words: why it failed or is paused, or how the last one died;
    `restart_in_seconds` while "restarting"; `num_restarts` since the page started; `looking` while this one goes on and
    another model is looked at.
    """

    phase: Literal["starting", "loading", "ready", "failed", "restarting", "paused", "stopped"]
    fraction: float = 0.0
    reason: str | None = None
    restart_in_seconds: float = 0.0
    num_restarts: int = 0
    looking: LookState | None = None


@dataclass(frozen=True, slots=True)
class RestartPace:
    """How long to wait before each restart: doubling, until the worker was ready for `steady_seconds`.

    It is asked for its health every `poll_seconds` until it is ready and every `check_seconds` from then on; one that
    lives and has not answered for `hung_seconds` is ended.
    """

    first_seconds: float = 1.0
    longest_seconds: float = 60.0
    steady_seconds: float = 60.0
    poll_seconds: float = 0.25
    check_seconds: float = 5.0
    hung_seconds: float = 60.0


class WorkerProcess:
    """The local worker: `python -m model.worker` on a free loopback port, with a secret token."""

    def __init__(
        self,
        options: WorkerOptions,
        log_path: Path,
        *,
        pace: RestartPace | None = None,
        command: Callable[[int], list[str]] | None = None,
        look: Callable[[WorkerOptions, int | None], list[str]] = look_command,
        environment: Mapping[str, str] | None = None,
        on_ready: Callable[[WorkerOptions], object] = lambda options: None,
    ) -> None:
        """`command` makes another program's argument list from the port, for tests of the watching itself, and `look`
        that of a look at another model from its options and the process that would be ended for it.
        `environment` is this process' own unless given; `on_ready` hears of every model that was loaded."""
        self._log = WorkerLog(log_path)
        self._looks = WorkerLog(log_path.with_name(f"{log_path.stem}-look{log_path.suffix}"))
        self._pace = pace or RestartPace()
        self._trial = ModelTrial(options, on_ready)
        self._command = command or (lambda port: worker_command(self.options, port))
        self._look_command = look
        self._switching = threading.Lock()
        self._starting = threading.Lock()  # a child, or the end of all of them
        self._look: ModelLook | None = None
        self._kept: WorkerOptions | None = None  # what goes on while another is looked at
        self._environment = os.environ if environment is None else environment
        self._token = secrets.token_urlsafe(32)
        self._port, self._held_port = hold_a_free_port()
        self._client = WorkerClient(self.base_url, self._token)
        self._changed = threading.Condition()
        self._state = WorkerState("starting")
        self._restart_at = 0.0
        self._paused: dict[str, Callable[[], str]] = {}  # by who wants it away; what that is told with
        self._ending = threading.Event()
        self._woken = threading.Event()  # by stop or restart; set after `_ending`, looked at before it
        self._killed_because: str | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._watch, name="worker-watch", daemon=True)

    @property
    def base_url(self) -> str:
        """http://127.0.0.1:PORT, the same across restarts."""
        return f"http://{HOST}:{self._port}"

    @property
    def token(self) -> str:
        """The secret that this worker asks for."""
        return self._token

    @property
    def process_id(self) -> int | None:
        """The child's process id, None while there is none."""
        child = self._child
        return child.pid if child is not None and child.poll() is None else None

    @property
    def state(self) -> WorkerState:
        """A snapshot; cheap, never blocks."""
        state, look = self._state, self._look
        if look is not None:
            state = replace(state, looking=look.state)
        if state.phase == "paused":
            return replace(state, reason=next((words() for words in tuple(self._paused.values())), None))
        if state.phase != "restarting":
            return state
        return replace(state, restart_in_seconds=max(0.0, self._restart_at - time.monotonic()))

    def start(self) -> None:
        """Starts the child and the watching thread; returns at once."""
        atexit.register(self.stop)
        self._thread.start()

    def restart(self) -> None:
        """Ends the child, if there is one, and starts another at once; returns at once, from any thread.

        The way back from "failed", where the worker stays up to tell the reason, and out of a long pause.
        """
        with self._changed:  # or what the child before says just now would take the place of this
            if not self._ending.is_set():
                phase: Literal["paused", "starting"] = "paused" if self._paused else "starting"
                self._tell(WorkerState(phase, num_restarts=self._state.num_restarts))
                self._woken.set()

    def pause(self, who: str, words: Callable[[], str], *, seconds: float = 0.0) -> None:
        """Ends the child and starts none until `go_on(who)`, so that its memory is free; from any thread. Waits at most
        `seconds` for that. `words` tell why, afresh each time that somebody looks. A switch meanwhile comes after."""
        self._paused[who] = words
        self.restart()
        with self._changed:
            self._changed.wait_for(lambda: self.process_id is None, seconds)

    def go_on(self, who: str) -> None:
        """The end of a pause; the child is started when nobody wants it away any more. Safe to call twice."""
        if self._paused.pop(who, None) is not None and not self._paused:
            self.restart()

    @property
    def options(self) -> WorkerOptions:
        """Of the model that runs or is being loaded."""
        return self._kept or self._trial.wanted

    @property
    def last_switch(self) -> ModelSwitch:
        return self._trial.switch

    def switch(self, options: WorkerOptions) -> None:
        """Ends the child and starts one with another model; returns at once, from any thread.

        While a model answers, the other one is first looked at, which fetches it too, and where it cannot be had
        nothing is ended. Running answers then have the seconds that an ending worker gives them. Where the new one
        still cannot be loaded, or dies before it is ready, the model before is started again. `last_switch` tells why.
        """
        with self._switching:
            may_go_on = self._state.phase == "ready" and not self._paused and not self._ending.is_set()
            kept = self.options if may_go_on else None
            self._end_look()
            self._kept = kept
            self._trial.propose(options)
            if kept is None:
                self.restart()
                return
            command = self._look_command(self._trial.wanted, self.process_id)
            environment = child_environment(self._environment, token="")
            self._look = ModelLook(command, environment, self._looks.write, f"Looking at {options.model}")
            looking = (self._look, self._trial.wanted)
            threading.Thread(target=self._look_first, args=looking, name="worker-look", daemon=True).start()

    def _look_first(self, look: ModelLook, options: WorkerOptions) -> None:
        why_not = look.why_not()
        with self._switching:
            if self._look is not look:  # another switch came, or the end
                return
            if why_not is not None:
                self._trial.failed(options, why_not)
            self._look = self._kept = None
            if why_not is None:
                self.restart()

    def _end_look(self) -> None:
        look, self._look, self._kept = self._look, None, None
        if look is not None:
            look.end()

    def stop(self, timeout_seconds: float = END_SECONDS) -> None:
        """Ends the child (SIGTERM, then SIGKILL) and the watching thread. Safe to call twice."""
        self._ending.set()
        self._woken.set()
        with self._switching:
            self._end_look()
        atexit.unregister(self.stop)
        with self._starting:  # a child that is just being started is ended, too, and no other is started
            child = self._child
        if child is not None:
            end(child, timeout_seconds)
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)
        self._held_port.close()
        self._tell(WorkerState("stopped", num_restarts=self._state.num_restarts))

    def wait_until_ready(self, timeout_seconds: float) -> WorkerState:
        """Waits for "ready", "failed" or "stopped"; returns the state reached."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._state.phase in ("ready", "failed", "stopped"), timeout_seconds
            )
        return self.state

    def _watch(self) -> None:
        pause, num_restarts, reason = self._pace.first_seconds, 0, None
        while not self._ending.is_set():
            if self._paused:
                self._tell(WorkerState("paused", num_restarts=num_restarts))
                self._woken.wait()
                self._woken.clear()
                continue
            self._tell(WorkerState("starting", reason=reason, num_restarts=num_restarts))
            options = self.options
            ready_seconds = self._run_once(options, num_restarts)
            reason = self._death_in_words()
            if not self._woken.is_set() and self._trial.failed(options, reason):
                self._woken.set()
            num_restarts += 1
            if not self._woken.is_set():
                if ready_seconds >= self._pace.steady_seconds:
                    pause = self._pace.first_seconds
                self._restart_at = time.monotonic() + pause
                self._tell(WorkerState("restarting", reason=reason, num_restarts=num_restarts))
                self._woken.wait(pause)
                pause = min(2 * pause, self._pace.longest_seconds)
            if self._woken.is_set():  # a person asked for it: no pause, and the past is forgotten
                self._woken.clear()
                pause, reason = self._pace.first_seconds, None

    def _run_once(self, options: WorkerOptions, num_restarts: int) -> float:
        """One child's life, to its end or ours. Returns how many seconds it was ready."""
        self._killed_because = None
        with self._starting:
            if self._ending.is_set():
                return 0.0
            try:
                child = spawn(self._command(self._port), child_environment(self._environment, self._token))
            except OSError as error:
                self._child = None
                self._log.write(f"the worker cannot be started: {error}\n".encode())
                return 0.0
            self._child = child
        pump = threading.Thread(
            target=write_down, args=(child.stdout, self._log.write), name="worker-log", daemon=True
        )
        pump.start()
        ready_at = self._look_after(child, options, num_restarts)
        if not self._ending.is_set():  # else stop() ends it, in its own time
            end(child, END_SECONDS)
            pump.join(timeout=LAST_WORDS_SECONDS)
        return 0.0 if ready_at is None else time.monotonic() - ready_at

    def _look_after(
        self, child: subprocess.Popen[bytes], options: WorkerOptions, num_restarts: int
    ) -> float | None:
        """Asks for its health until it has died, hung, or somebody wants it ended. Returns since when it was ready."""
        ready_at: float | None = None
        answered_at = time.monotonic()
        while child.poll() is None and not self._woken.wait(self._pace.poll_seconds):
            now = time.monotonic()
            if ready_at is not None and now - answered_at < self._pace.check_seconds:
                continue
            phase = self._ask_health(options, num_restarts)
            if phase is not None:
                answered_at = time.monotonic()
                ready_at = (ready_at or answered_at) if phase == "ready" else None
            elif time.monotonic() - answered_at >= self._pace.hung_seconds and child.poll() is None:
                seconds = f"{self._pace.hung_seconds:g} seconds"
                self._killed_because = f"The worker ran but did not answer for {seconds}, so it was ended."
                child.kill()
                child.wait()
        return ready_at

    def _ask_health(self, options: WorkerOptions, num_restarts: int) -> str | None:
        """Tells and returns the worker's own state; None while it does not answer."""
        try:
            health = self._client.health(timeout_seconds=min(5.0, self._pace.hung_seconds))
        except WorkerError:
            return None  # not yet listening, or busy importing; whether it lives the process tells
        if self._woken.is_set():  # the state is what stop, restart or switch said
            return health.state
        if health.state == "ready":
            self._trial.ready(options)
        if health.state == "failed" and self._trial.failed(options, health.reason or ""):
            self.restart()  # with the model before
            return health.state
        state = WorkerState(health.state, health.fraction, health.reason, num_restarts=num_restarts)
        with self._changed:
            if not self._woken.is_set():
                self._tell(state)
        return health.state

    def _death_in_words(self) -> str:
        if self._killed_because is not None:
            return self._killed_because
        child = self._child
        if child is None or child.returncode is None:
            return f"The worker could not be started: {self._log.last_line}"
        return death_in_words(child.returncode, self._log.last_line)

    def _tell(self, state: WorkerState) -> None:
        with self._changed:
            if self._state.phase != "stopped":
                self._state = state
            self._changed.notify_all()
