"""What a run says, and its log."""

import json

import pytest

from groundshift.errors import OutputError
from groundshift.workflows.progress import Reporter, count_of


def events(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_event_is_one_line_of_json(tmp_path, capsys):
    with Reporter(log=tmp_path / "log.jsonl") as reporter:
        reporter.say("two\nlines [bold]é", number=3)
        reporter.warn("careful")
        reporter.log("plan", path=tmp_path)
    found = events(tmp_path / "log.jsonl")
    assert [e["event"] for e in found] == ["message", "warning", "plan"]
    assert found[0]["text"] == "two\nlines [bold]é"
    assert found[0]["number"] == 3
    assert found[2]["path"] == str(tmp_path)
    seconds = [e["seconds"] for e in found]
    assert seconds == sorted(seconds)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "two\nlines [bold]é\nwarning: careful\n"


def test_a_log_is_added_to_and_made_only_when_there_is_something_to_say(tmp_path):
    path = tmp_path / "log.jsonl"
    for text in ("first", "second"):
        with Reporter(quiet=True, log=path) as reporter:
            assert path.exists() == (text == "second")
            reporter.say(text)
    assert [e["text"] for e in events(path)] == ["first", "second"]


def test_a_line_that_a_killed_run_broke_off_does_not_spoil_the_next(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"event": "mess', encoding="utf-8")
    with Reporter(quiet=True, log=path) as reporter:
        reporter.say("later")
    assert json.loads(path.read_text(encoding="utf-8").splitlines()[1])["text"] == "later"


def test_quiet_is_quiet_but_logs(tmp_path, capsys):
    with Reporter(quiet=True, log=tmp_path / "log.jsonl") as reporter:
        reporter.say("a")
        reporter.warn("b")
        with reporter.bar("c", 2) as advance:
            advance(2)
    assert capsys.readouterr() == ("", "")
    assert [e["event"] for e in events(tmp_path / "log.jsonl")] == ["message", "warning", "stage"]


def test_a_bar_logs_its_stage_only_if_it_was_completed(tmp_path):
    with Reporter(quiet=True, log=tmp_path / "log.jsonl") as reporter:
        with reporter.bar("done", 3) as advance:
            for _ in range(3):
                advance()
        with pytest.raises(KeyboardInterrupt), reporter.bar("broken", 3):
            raise KeyboardInterrupt
    assert [(e["title"], e["total"]) for e in events(tmp_path / "log.jsonl")] == [("done", 3)]


def test_a_log_that_cannot_be_written_is_one_clear_error(tmp_path):
    reporter = Reporter(quiet=True, log=tmp_path / "none" / "log.jsonl")
    with pytest.raises(
        OutputError, match=r"log\.jsonl: cannot be written \(No such file or directory\); free some space"
    ):
        reporter.say("a")
    reporter.say("after it failed once, the run can still say why it ends")


@pytest.mark.parametrize(("number", "text"), [(0, "0 pairs"), (1, "1 pair"), (2, "2 pairs")])
def test_a_noun_goes_with_its_number(number, text):
    assert count_of(number, "pair") == text
