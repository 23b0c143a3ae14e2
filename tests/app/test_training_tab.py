"""The training view of the served page: to everybody but admins there is none."""

from __future__ import annotations

import re
from pathlib import Path

from app import chat_tab, training_tab
from tests.app.served_page import Person
from tests.app.training_page import corrected, serving

ROOT = Path(__file__).resolve().parents[2]
LOGINS = {"logins": {"ann": "pw-ann"}, "admins": {"root": "pw-root"}}


def test_only_an_admins_events_are_answered(tmp_path: Path) -> None:
    with serving(tmp_path, {}, ROOT / "model" / "demo", **LOGINS) as page:
        corrected(page.store, 1)
        root, ann = Person(page.url, ("root", "pw-root")), Person(page.url, ("ann", "pw-ann"))
        job = {
            "name": "x",
            "recipe": "lora",
            "model": "model/demo",
            "data": {"kind": "library"},
            "fields": {},
        }
        answers = {
            who: who.http.post("/gradio_api/run/predict", json=who._body("training_training", {})).text
            for who in (root, ann)
        }
        assert "model/demo" in answers[root] and "model/demo" not in answers[ann]
        refused = ann.http.post("/gradio_api/run/predict", json=ann._body("training_start", job))
        assert refused.status_code == 200 and page.jobs.list() == []


def test_every_mark_of_the_page_is_filled_in_and_no_name_is_given_twice() -> None:
    shell = chat_tab.shell_html()
    for mark in ("TRAINING_", "FILTERS", "RECIPES", "SCALES", "FIELDS"):
        assert mark not in shell
    names = re.findall(r'\bid="([^"]+)"', shell)
    assert sorted(names) == sorted(set(names))
    form = training_tab.stage_html()
    assert form.count('name="corrected"') == 1 and 'id="results"' in form


def test_every_event_and_feed_of_the_view_is_one_that_its_scripts_use() -> None:
    scripts = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "app" / "browser").glob("training_*.js")
    )
    for name in training_tab.EVENTS:
        assert f'say("{name}"' in scripts, name
    for name in training_tab.FEEDS:
        assert f'loop.on("training_{name}"' in scripts, name
