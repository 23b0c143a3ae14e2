"""Why an engine could not give an answer, drawn as a tree. No torch here.

EngineError
├── PromptTooLong       the prompt leaves no room for an answer
├── CacheTooSmall       the request could never fit into the cache's budget
├── OutOfMemory         the request did not fit into memory; the engine lives on
├── QueueFull           too many wait already
├── AdapterError        an adapter cannot be loaded
│   └── UnknownAdapter  no adapter has that name
├── EngineClosed        the worker is going down
├── EngineBroken        the engine itself failed; only a new process helps
└── GenerationFailed    the network raised something unforeseen, or gave scores that are no numbers
"""

from __future__ import annotations


class EngineError(Exception):
    """Any failure of an engine. Its text is one sentence that names the value and the remedy."""


class PromptTooLong(EngineError):
    """The prompt fills the context, so that not one token of an answer would fit."""

    def __init__(self, prompt_tokens: int, context_tokens: int) -> None:
        super().__init__(
            f"The conversation is {prompt_tokens} tokens long and the model's context holds {context_tokens}, answer "
            "included; shorten it or leave out the oldest turns."
        )
        self.prompt_tokens = prompt_tokens
        self.context_tokens = context_tokens


class CacheTooSmall(EngineError):
    """Keys and values of `num_tokens` tokens (prompt and the longest answer asked for) exceed the whole budget."""

    def __init__(self, num_tokens: int, needed_bytes: int, budget_bytes: int) -> None:
        super().__init__(
            f"The conversation and its answer may take {num_tokens} tokens, which need {needed_bytes / 1e9:.2f} GB of "
            f"cache, and the worker has {budget_bytes / 1e9:.2f} GB; shorten the conversation, ask for a shorter "
            "answer, or start the worker with a larger --cache-gb."
        )
        self.num_tokens = num_tokens
        self.needed_bytes = needed_bytes
        self.budget_bytes = budget_bytes


class OutOfMemory(EngineError):
    """Memory ran out at `num_tokens` tokens (prompt and answer so far) with `num_pictures` pictures."""

    def __init__(self, num_tokens: int, num_pictures: int, cause: str) -> None:
        super().__init__(
            f"Memory ran out at {num_tokens} tokens and {num_pictures} pictures ({cause}); ask with fewer turns or "
            "pictures, or load a smaller model."
        )
        self.num_tokens = num_tokens
        self.num_pictures = num_pictures


class QueueFull(EngineError):
    """`num_waiting` requests wait already."""

    def __init__(self, num_waiting: int) -> None:
        super().__init__(
            f"{num_waiting} questions are waiting already, which is the most; ask again in a while."
        )
        self.num_waiting = num_waiting


class AdapterError(EngineError):
    """An adapter cannot be loaded; the message names the file and the remedy."""


class UnknownAdapter(AdapterError):
    """Nothing of that name is loaded."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        loaded = f"loaded are: {', '.join(known)}" if known else "none is loaded"
        super().__init__(f"There is no adapter {name!r} here; {loaded}. Load it first.")
        self.name = name


class EngineClosed(EngineError):
    """The engine went down before the answer was whole."""

    def __init__(self, reason: str = "the worker is shutting down") -> None:
        super().__init__(f"The answer was ended because {reason}; ask again when it is back.")


class EngineBroken(EngineError):
    """The engine's thread, or the device, failed in a way that no later request could survive."""

    def __init__(self, kind: str, cause: str) -> None:
        super().__init__(
            f"The model's engine broke with {kind}: {cause}. The worker ends now and has to be started anew, which the "
            "page does by itself; ask again in a moment."
        )


class GenerationFailed(EngineError):
    """The network failed with `kind`, mostly an exception's name; the next request may still work."""

    def __init__(self, kind: str, cause: str, remedy: str = "The worker's log has the details.") -> None:
        super().__init__(f"The model failed with {kind}: {cause}. {remedy}")
        self.kind = kind
