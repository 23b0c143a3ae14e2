"""Flags, environment and what they are checked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.settings import Settings, is_loopback, parse, read_logins

FLAGS = (
    "--host", "--port", "--share", "--auth", "--admin", "--model", "--template", "--dtype", "--device",
    "--database-url", "--worker-url", "--worker-token",
)  # fmt: skip


def test_without_anything_it_runs_for_this_machine_alone() -> None:
    settings = parse([], {})
    assert settings == Settings()
    assert settings.local_only and settings.warning() is None


def test_help_names_every_flag_with_default_and_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--help"], {})
    assert ended.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    for flag in FLAGS:
        assert flag in told
        assert "LLAVA_LOOP_" + flag.removeprefix("--").replace("-", "_").upper() in told
    for default in ("127.0.0.1", "7860", "model/demo", "sqlite:///var/chats.db"):
        assert f"default: {default}" in told


def test_every_flag_has_a_variable_and_the_flag_wins() -> None:
    variables = {
        "LLAVA_LOOP_HOST": "::1",
        "LLAVA_LOOP_PORT": "7001",
        "LLAVA_LOOP_SHARE": "yes",
        "LLAVA_LOOP_AUTH": "ann:one bob:two",
        "LLAVA_LOOP_ADMIN": "root:three",
        "LLAVA_LOOP_MODEL": "some/where",
        "LLAVA_LOOP_TEMPLATE": "llava_v1",
        "LLAVA_LOOP_DTYPE": "bfloat16",
        "LLAVA_LOOP_DEVICE": "cuda:1",
        "LLAVA_LOOP_DATABASE_URL": "sqlite:////data/chats.db",
        "LLAVA_LOOP_WORKER_URL": "https://gpu.example:8001",
        "LLAVA_LOOP_WORKER_TOKEN": "secret",
    }
    settings = parse([], variables)
    assert (settings.host, settings.port, settings.share) == ("::1", 7001, True)
    assert settings.everyone == {"ann": "one", "bob": "two", "root": "three"}
    assert settings.admins == {"root": "three"}
    assert (settings.template, settings.dtype, settings.device) == ("llava_v1", "bfloat16", "cuda:1")
    assert settings.data_folder == Path("/data")
    assert (settings.worker_url, settings.worker_token) == ("https://gpu.example:8001", "secret")
    assert parse(["--port", "7002"], variables).port == 7002


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--port", "70000"], "0 to 65535"),
        (["--port", "many"], "invalid int value"),
        (["--worker-url", "gpu:8001"], "http or https"),
        (["--auth", "nopassword"], "NAME:PASSWORD"),
        (["--auth", "@/does/not/exist"], "cannot be read"),
        (["--auth", "ann:one", "--admin", "ann:two"], "keep one"),
        (["--dtype", "int3"], "invalid choice"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_the_remedy(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(argv, {})
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_logins_come_from_a_file_too_and_a_password_may_hold_a_colon(tmp_path: Path) -> None:
    listed = tmp_path / "logins"
    listed.write_text("# who may come in\nann:one:two\n\nbob:three\n", encoding="utf-8")
    assert read_logins([f"@{listed}", "cy:four"]) == {"ann": "one:two", "bob": "three", "cy": "four"}


def test_passwords_and_tokens_are_never_printed() -> None:
    shown = repr(parse(["--auth", "ann:hunter2", "--worker-token", "hunter3"], {}))
    assert "hunter" not in shown


@pytest.mark.parametrize("argv", [["--host", "0.0.0.0"], ["--share"], ["--host", "192.168.0.2"]])
def test_a_page_that_strangers_can_reach_warns_what_they_could_do_unless_they_must_sign_in(
    argv: list[str],
) -> None:
    warning = parse(argv, {}).warning()
    assert warning is not None
    for word in ("WARNING", "memory", "disk", "--auth"):
        assert word in warning
    assert parse([*argv, "--auth", "ann:one"], {}).warning() is None


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("gpu", False),
    ],
)
def test_a_loopback_address_is_told_from_others(host: str, local: bool) -> None:
    assert is_loopback(host) is local


def test_the_admin_is_who_signed_in_as_one_or_the_one_local_user() -> None:
    assert parse([], {}).is_admin(None)
    assert not parse(["--host", "0.0.0.0"], {}).is_admin(None)
    assert not parse(["--share"], {}).is_admin(None)
    with_logins = parse(["--auth", "ann:one", "--admin", "root:two"], {})
    assert with_logins.is_admin("root") and not with_logins.is_admin("ann") and not with_logins.is_admin(None)
    assert not parse(["--auth", "ann:one"], {}).is_admin("ann")


def test_paths_mean_where_the_person_stands_and_defaults_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    settings = parse(["--model", "mine", "--database-url", "sqlite:///chats.db"], {})
    assert settings.model == str(tmp_path / "mine")
    assert settings.database_url == f"sqlite:///{tmp_path / 'chats.db'}"
    assert settings.data_folder == tmp_path
    usual = parse([], {})
    assert (usual.model, usual.database_url) == (Settings().model, Settings().database_url)
    for kept in ("sqlite:////data/chats.db", "sqlite:///:memory:", "postgresql://host/name"):
        assert parse(["--database-url", kept], {}).database_url == kept
    assert parse(["--model", "someone/else"], {}).model == "someone/else"


def test_logins_of_the_command_line_stand_in_place_of_the_variables() -> None:
    variables = {"LLAVA_LOOP_AUTH": "bob:two", "LLAVA_LOOP_ADMIN": "root:three"}
    settings = parse(["--auth", "ann:one", "--auth", "cy:four"], variables)
    assert (settings.logins, settings.admins) == ({"ann": "one", "cy": "four"}, {"root": "three"})
    settings = parse(["--admin", "eve:five"], variables)
    assert (settings.logins, settings.admins) == ({"bob": "two"}, {"eve": "five"})


def test_a_password_may_hold_spaces_on_the_command_line_and_on_a_line_of_the_variable() -> None:
    assert parse(["--auth", "ann:my pass"], {"LLAVA_LOOP_AUTH": "bob:two"}).logins == {"ann": "my pass"}
    lines = {"LLAVA_LOOP_AUTH": "ann:my pass\n\n bob:two \n", "LLAVA_LOOP_ADMIN": "root:the third\n"}
    settings = parse([], lines)
    assert (settings.logins, settings.admins) == ({"ann": "my pass", "bob": "two"}, {"root": "the third"})
    assert parse([], {"LLAVA_LOOP_AUTH": "  "}).logins == {}


def test_a_variable_that_spaces_cut_wrongly_says_how_several_are_told_apart(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        parse([], {"LLAVA_LOOP_AUTH": "ann:my pass"})
    told = capsys.readouterr().err
    assert "LLAVA_LOOP_AUTH" in told and "a line each" in told and "my" not in told
    with pytest.raises(SystemExit):
        parse(["--help"], {})
    assert "several in the variable: with spaces between, or a line each" in " ".join(
        capsys.readouterr().out.split()
    )
