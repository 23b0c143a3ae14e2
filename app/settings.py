"""What the program is started with. The only reader of flags and environment, and all of it is checked here.

Each flag has an environment variable: `--database-url` is LLAVA_LOOP_DATABASE_URL. A flag wins over its variable.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

PREFIX = "LLAVA_LOOP_"
SQLITE = "sqlite:///"
ROOT = Path(__file__).resolve().parent.parent
DTYPES = ("auto", "float32", "bfloat16", "float16")
QUANTIZE, DEVICE_MAPS = ("none", "8bit", "4bit"), ("none", "auto")


@dataclass(frozen=True)
class Settings:
    """Everything that can be chosen at start. `logins` and `admins` map names to passwords and are never printed."""

    host: str = "127.0.0.1"
    port: int = 7860
    share: bool = False
    logins: Mapping[str, str] = field(default_factory=dict, repr=False)
    admins: Mapping[str, str] = field(default_factory=dict, repr=False)
    model: str = "model/demo"
    template: str | None = None
    dtype: str | None = None
    device: str | None = None
    model_base: str | None = None
    adapter: str | None = None
    vision_tower: str | None = None
    quantize: str | None = None
    device_map: str | None = None
    database_url: str = "sqlite:///var/chats.db"
    worker_url: str | None = None
    worker_token: str | None = field(default=None, repr=False)

    @property
    def everyone(self) -> dict[str, str]:
        """Who may sign in: users and admins. Empty means that nobody has to."""
        return {**self.logins, **self.admins}

    @property
    def local_only(self) -> bool:
        """Whether only this machine can reach the page."""
        return not self.share and is_loopback(self.host)

    @property
    def data_folder(self) -> Path:
        """Where pictures, logs and caches lie: beside an SQLite database, else `var/`."""
        if self.database_url.startswith(SQLITE) and self.database_url != SQLITE + ":memory:":
            return Path(self.database_url.removeprefix(SQLITE)).parent
        return Path("var")

    def is_admin(self, username: str | None) -> bool:
        """Who signed in with an --admin login; where nobody has to sign in, whoever sits at this very machine."""
        return username in self.admins if self.everyone else self.local_only

    def warning(self) -> str | None:
        """What strangers could do, if they can reach the page and nobody has to sign in."""
        if self.local_only or self.everyone:
            return None
        who = (
            "anyone who gets the public link"
            if self.share
            else f"anyone who can reach {self.host}:{self.port}"
        )
        return (
            f"WARNING: nobody has to sign in, and {who} can use this page: ask the model and so take this machine's "
            "processor and memory, and store text and pictures on its disk. "
            "Add --auth NAME:PASSWORD to ask for a login."
        )


def is_loopback(host: str) -> bool:
    """Whether a host name or address leads to this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def parse(argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of this start. Prints a sentence and exits with 2 on a value that cannot be used."""
    variables = os.environ if environ is None else environ
    parser = _parser(variables)
    chosen = parser.parse_args(sys.argv[1:] if argv is None else list(argv))
    try:
        return _checked(chosen)
    except ValueError as error:
        parser.error(str(error))


def read_logins(entries: Sequence[str]) -> dict[str, str]:
    """NAME:PASSWORD pairs; an entry @FILE stands for the lines of that file. Raises ValueError, password left out."""
    logins: dict[str, str] = {}
    for entry in entries:
        if entry.startswith("@"):
            try:
                lines = Path(entry[1:]).read_text(encoding="utf-8").splitlines()
            except OSError as error:
                raise ValueError(f"the login file {entry[1:]} cannot be read: {error.strerror}") from error
            logins |= read_logins(
                [line.strip() for line in lines if line.strip() and not line.startswith("#")]
            )
            continue
        name, colon, password = entry.partition(":")
        name = name.strip()
        if not colon or not name or not password:
            raise ValueError(
                "a login has the form NAME:PASSWORD (or @FILE with one such line each); several in "
                f"{PREFIX}AUTH or {PREFIX}ADMIN have spaces between, or a line each where a password holds spaces"
            )
        logins[name] = password
    return logins


def _checked(chosen: argparse.Namespace) -> Settings:
    if not 0 <= chosen.port <= 65535:
        raise ValueError(f"--port is 0 to 65535, not {chosen.port}")
    if chosen.worker_url is not None:
        address = urlsplit(chosen.worker_url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError(f"--worker-url is an http or https address, not {chosen.worker_url!r}")
    logins, admins = read_logins(chosen.auth), read_logins(chosen.admin)
    if both := sorted(logins.keys() & admins.keys()):
        raise ValueError(f"{both[0]} is given with --auth and with --admin; keep one")
    return Settings(
        host=chosen.host,
        port=chosen.port,
        share=chosen.share,
        logins=logins,
        admins=admins,
        model=_from_here(chosen.model, Settings.model) or Settings.model,
        template=chosen.template,
        dtype=chosen.dtype,
        device=chosen.device,
        model_base=_from_here(chosen.model_base, None),
        adapter=_from_here(chosen.adapter, None),
        vision_tower=_from_here(chosen.vision_tower, None),
        quantize=chosen.quantize,
        device_map=chosen.device_map,
        database_url=_database_from_here(chosen.database_url),
        worker_url=chosen.worker_url,
        worker_token=chosen.worker_token,
    )


def _from_here(model: str | None, usual: str | None) -> str | None:
    """A folder that stands where the person stands becomes absolute, since the program goes to its own root; what is
    not there is looked for below that root, as the usual one is."""
    return str(Path(model).absolute()) if model and model != usual and Path(model).exists() else model


def _database_from_here(url: str) -> str:
    """A relative SQLite path is meant from where the person stands; the usual one lies below the program's root."""
    path = url.removeprefix(SQLITE)
    if (
        not url.startswith(SQLITE)
        or url == Settings.database_url
        or path.startswith((":memory:", "file:"))
        or not path
    ):
        return url
    return SQLITE + str(Path(path).absolute())


def _parser(variables: Mapping[str, str]) -> argparse.ArgumentParser:
    """The flags. A default comes from the flag's environment variable where that is set."""
    parser = argparse.ArgumentParser(
        prog="python app.py",
        description="Talk to a LLaVA about pictures, in the browser.",
        epilog=f"Each flag has an environment variable, for example --worker-url: {PREFIX}WORKER_URL.",
    )
    usual = Settings()

    def add(flag: str, default: object, text: str, **more: object) -> None:
        name = PREFIX + flag.removeprefix("--").replace("-", "_").upper()
        shown = "none" if default in (None, []) else ("no" if default is False else default)
        value = variables.get(name)
        if more.get("action") == "store_true":
            default = _truth(name, value) if value is not None else default
        elif more.get("action") is _InPlaceOfVariable:
            default = _several(value or "")
        elif value:
            default = value  # argparse converts and checks a default that is text
        parser.add_argument(flag, default=default, help=f"{text} (default: {shown}; {name})", **more)  # type: ignore[arg-type]

    add("--host", usual.host, "address to listen on; 0.0.0.0 is every network", metavar="ADDRESS")
    add("--port", usual.port, "port to listen on; 0 takes a free one", type=int)
    add("--share", False, "make a public link through Gradio's relay", action="store_true")
    login = "NAME:PASSWORD"
    add(
        "--auth",
        [],
        "who may sign in; again for each, or @FILE with a line each; several in the variable: with spaces between, or "
        "a line each where a password holds spaces",
        action=_InPlaceOfVariable,
        metavar=login,
    )
    add("--admin", [], "like --auth, for who may also administer", action=_InPlaceOfVariable, metavar=login)
    add(
        "--model",
        usual.model,
        "checkpoint for the local worker: a folder, or a name on the Hub",
        metavar="MODEL",
    )
    add("--model-base", None, "what completes a delta, an adapter or a projector", metavar="MODEL")
    add("--adapter", None, "adapter that is merged into the model", metavar="MODEL")
    add(
        "--vision-tower", None, "picture tower, instead of the one that the checkpoint names", metavar="MODEL"
    )
    add("--template", None, "prompt template, instead of the checkpoint's own", metavar="NAME")
    add("--dtype", None, "number format of the weights", choices=DTYPES)
    add("--quantize", None, "weights in 8 or 4 bits", choices=QUANTIZE)
    add("--device", None, "cpu, cuda, cuda:1, mps", metavar="DEVICE")
    add("--device-map", None, "auto shares the model out over several GPUs", choices=DEVICE_MAPS)
    add("--database-url", usual.database_url, "where conversations are kept", metavar="URL")
    add("--worker-url", None, "a worker that runs elsewhere, instead of a local one", metavar="URL")
    add("--worker-token", None, "the secret that this worker asks for", metavar="TOKEN")
    return parser


class _InPlaceOfVariable(argparse.Action):
    """A flag that may be given several times. What the variable says counts where it is not given at all; `append`
    would add to that."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        before = vars(namespace)[self.dest]
        setattr(namespace, self.dest, [values] if before is self.default else [*before, values])


def _several(value: str) -> list[str]:
    """The entries of a variable."""
    entries = value.splitlines() if "\n" in value else value.split()
    return [entry.strip() for entry in entries if entry.strip()]


def _truth(name: str, value: str) -> bool:
    if value.lower() in ("1", "true", "yes", "on"):
        return True
    if value.lower() in ("", "0", "false", "no", "off"):
        return False
    raise SystemExit(f"{name} is 1 or 0, not {value!r}")
