"""What GET /metrics tells, in Prometheus' text: what the door has seen of its requests, and what the engine counts.

The engine's numbers are read when somebody asks; nothing is counted twice. Means over any span are quotients of two
counters, so the batch size is `rate(llava_loop_rows_total) / rate(llava_loop_steps_total)`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from model.door.readiness import Readiness
from model.engine.numbers import EngineNumbers

CONTENT_TYPE = CONTENT_TYPE_LATEST
PREFIX = "llava_loop"
LEFT = "left"
"""The reader closed the connection before the answer was whole."""

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
SECONDS_PER_TOKEN = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.5)


class Metrics:
    """One worker's metrics, in a registry of their own."""

    def __init__(self, readiness: Readiness) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_EngineCollector(readiness))
        self._requests = Counter(
            f"{PREFIX}_requests",
            "Requests for an answer by how they ended: stop, length, left, or an error's code.",
            ["reason"],
            registry=self._registry,
        )
        self._first_token = self._histogram(
            "time_to_first_token_seconds", "From the request's arrival to the first piece of text."
        )
        self._per_token = self._histogram(
            "time_per_token_seconds",
            "Mean time of a token after the first, one observation an answer.",
            SECONDS_PER_TOKEN,
        )
        self._waited = self._histogram(
            "time_in_queue_seconds", "From the request's arrival to the reading of its prompt."
        )
        self._took = self._histogram("request_seconds", "From the request's arrival to its end.")

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)

    def began(self, seconds: float) -> None:
        """A request left the queue."""
        self._waited.observe(seconds)

    def first_token(self, seconds: float) -> None:
        self._first_token.observe(seconds)

    def per_token(self, seconds: float) -> None:
        self._per_token.observe(seconds)

    def ended(self, reason: str, seconds: float) -> None:
        """`reason` is one of a fixed set: finish reasons, LEFT, and the protocol's error codes."""
        self._requests.labels(reason).inc()
        self._took.observe(seconds)

    def _histogram(self, name: str, what: str, buckets: Iterable[float] = SECONDS) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", what, buckets=tuple(buckets), registry=self._registry)


class _EngineCollector(Collector):
    """The engine's own numbers; nothing while there is no engine."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness

    def collect(self) -> Iterator[Metric]:
        engine = self._readiness.engine
        yield _gauge("ready", "1 when the model can be asked.", 0 if engine is None else 1)
        if engine is not None:
            yield _gauge("adapters", "Adapters that are loaded.", len(engine.adapters))
            yield from _of_engine(engine.numbers())

    def describe(self) -> list[Metric]:
        """Nothing ahead of time: what there is depends on the engine."""
        return []


def _of_engine(now: EngineNumbers) -> Iterator[Metric]:
    yield _gauge("requests_running", "Answers being made.", now.num_running)
    yield _gauge("requests_waiting", "Requests in line.", now.num_waiting)
    yield _gauge("slots", "Answers that can be made at once.", now.num_slots)
    yield _gauge("cache_bytes", "Keys and values held, remembered prefixes included.", now.cache_bytes)
    yield _gauge("cache_budget_bytes", "The most that keys and values may take.", now.cache_budget_bytes)
    yield _gauge("cache_use_ratio", "Share of that budget.", _ratio(now.cache_bytes, now.cache_budget_bytes))
    yield _counter("generated_tokens", "Tokens drawn.", now.num_tokens_made)
    yield _counter("prompt_tokens", "Prompt tokens, read or reused.", now.num_prompt_tokens)
    yield _counter("reused_prompt_tokens", "Prompt tokens found in the cache.", now.num_reused_tokens)
    reuse = _ratio(now.num_reused_tokens, now.num_prompt_tokens)
    yield _gauge("prompt_reuse_ratio", "Share of all prompt tokens that was found in the cache.", reuse)
    yield _counter("steps", "Forward passes of the language model.", now.num_steps)
    yield _counter("rows", "Token rows over all steps, prompts included.", now.num_rows)
    yield _gauge(
        "batch_rows_mean", "Token rows a step, since the start.", _ratio(now.num_rows, now.num_steps)
    )
    yield _counter("pictures_encoded", "Runs of the vision tower, one a picture.", now.num_pictures_encoded)
    yield _gauge("pictures_remembered", "Pictures whose features are kept.", now.num_pictures_remembered)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}_{name}", what, value=value)


def _counter(name: str, what: str, value: float) -> Metric:
    return CounterMetricFamily(f"{PREFIX}_{name}", what, value=value)
