"""The bench runs from end to end with a tiny model; what it measures there means nothing, and no test has a bar."""

from __future__ import annotations

import pytest

from scripts import bench_engine
from scripts.engine_bench import beside_llama_cpp

IN_ONE_PROCESS = "greedy,second,first,decode,streams,crowd,gap"


def test_the_rows_of_one_process_are_printed_as_one_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_engine.main(["--model", "tiny", "--rows", IN_ONE_PROCESS, "--rounds", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    assert len(rows) == 1 + len(IN_ONE_PROCESS.split(","))
    assert not any("it failed" in row for row in rows), rows
    assert any("cores of" in line for line in lines)


def test_greedy_tokens_of_the_tiny_model_are_those_of_generate(capsys: pytest.CaptureFixture[str]) -> None:
    bench_engine.main(["--model", "tiny", "--rows", "greedy", "--rounds", "1"])
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("| greedy"))
    same, asked = row.split("|")[3].split("the same")[0].split(" of ")
    assert int(same) == int(asked) > 0


def test_without_the_peer_its_rows_are_left_out_in_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    monkeypatch.setattr(beside_llama_cpp, "ENVIRONMENT", tmp_path)
    bench_engine.main(["--model", "tiny", "--rows", "llama", "--rounds", "1"])
    rows = [line for line in capsys.readouterr().out.splitlines() if "llama.cpp" in line]
    assert len(rows) == 3
    assert all("left out: it is not installed; `python -m scripts.install_peers`" in row for row in rows)


def test_a_row_that_fails_does_not_take_the_others_along(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(bench: object) -> None:
        raise OSError("no such luck")

    monkeypatch.setitem(bench_engine.ROWS, "second", fails)
    assert bench_engine.main(["--model", "tiny", "--rows", "second,decode", "--rounds", "1"]) == 0
    out = capsys.readouterr().out
    assert "left out: it failed with OSError: no such luck" in out
    assert "| decode, one stream |" in out


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--rows", "speed"], "there is no 'speed'; choose from greedy,"),
        (["--model", "vicuna"], "there is no 'vicuna'; choose from random,"),
        (["--rounds", "0"], "--rounds is 0"),
        (["--processor-time", "--rows", "http"], "--processor-time counts one process a side"),
    ],
)
def test_a_wrong_flag_is_named(flags: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench_engine.main(flags)
    assert words in capsys.readouterr().err


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_the_rows_with_processes_of_their_own_are_measured_too(capsys: pytest.CaptureFixture[str]) -> None:
    bench_engine.main(["--model", "tiny", "--rows", "http,serve,memory,llama", "--rounds", "1"])
    out = capsys.readouterr().out
    assert "it failed" not in out
    assert out.count("left out") in (0, 3)  # llama.cpp's three rows where it is not installed
