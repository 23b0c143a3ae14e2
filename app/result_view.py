"""What a run brought out, as HTML: what it changed, what can be done with it, and the held-out answers side by side."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from app.both_answers import Asking, Said
from app.held_out import HeldOut, Shares, is_same, shares
from app.job_values import Job
from app.result_work import WorkState
from app.training_results import Standing
from app.worker_child import ROOT

MOST_ROWS = 200


def frame_html(job: Job) -> str:
    """The parts that are filled later, and the card of the Hub, which must stay while a person types into it."""
    return (
        f'<div class="outcome" data-job="{escape(job.id)}">'
        '<div class="outcome-scores"></div><div class="outcome-deeds" aria-live="polite"></div>'
        '<div class="outcome-rows"></div>'
        '<dialog class="card" id="to-hub" aria-label="Put it on the Hub"><form autocomplete="off" class="hub-form">'
        '<div class="card-head"><h2>Put it on the Hub</h2><button type="button" class="round quiet" '
        'data-do="close-card" aria-label="Close"><svg class="icon"><use href="#icon-close"></use></svg></button></div>'
        '<label class="field"><span>Name</span><input type="text" name="repo" maxlength="200" required '
        'placeholder="your-name/model" spellcheck="false"></label>'
        '<label class="field"><span>Token</span><input type="password" name="token" maxlength="500" '
        'autocomplete="off" placeholder="that of this machine"><small>It is handed to this one upload and kept '
        "nowhere. It must be allowed to write.</small></label>"
        '<label class="tick"><input type="checkbox" name="private" checked> Only I can see it</label>'
        '<p class="hub-note">The whole model is uploaded in the layout that transformers and vLLM read, with a card '
        "that tells its settings and scores.</p>"
        '<div class="tray ends"><span class="gap"></span><button type="button" class="choice" data-do="close-card">'
        'Cancel</button><button type="submit" class="choice first">Upload</button></div></form></dialog></div>'
    )


def scores_html(rows: Sequence[HeldOut]) -> str:
    """The share of held-out answers that were exactly right, before and after."""
    counted = shares(rows)
    if not counted.number:
        return '<p class="faint">Nothing was held out, so there is nothing to compare.</p>'
    of = f"{counted.number:,} held-out {'answer' if counted.number == 1 else 'answers'} exactly right"
    return (
        f'<div class="outcome-shares">{_share("before", counted.before, counted)}'
        f'<svg class="icon to" aria-hidden="true"><use href="#icon-right"></use></svg>'
        f'{_share("after", counted.after, counted)}<div class="of"><p>of {of}</p></div></div>'
    )


def _share(when: str, right: int | None, counted: Shares) -> str:
    if right is None:
        return f'<div class="share" data-when="{when}"><b>–</b><small>{when}</small></div>'
    share = right / counted.number
    return (
        f'<div class="share" data-when="{when}"><b>{100 * share:.0f}<i>%</i></b><small>{when}</small>'
        f'<div class="meter" role="img" aria-label="{right} of {counted.number} right {when}">'
        f'<i style="width: {100 * share:.1f}%"></i></div></div>'
    )


# -- what can be done --------------------------------------------------------------------------------------------------


def deeds_html(job: Job, standing: Standing, work: WorkState) -> str:
    """Buttons for what is possible now, what is going on, and a note where something stands in the way."""
    if not standing.kind:
        return '<p class="note">This run has no result: it did not come to its end.</p>'
    busy = work.phase == "running"
    buttons = _adapter_buttons(standing) if standing.kind == "adapter" else _model_buttons(standing)
    if standing.kind == "adapter":
        if standing.is_merged:
            buttons.append(_download(job, "merged", "Download the merged model"))
        else:
            buttons.append(_button("result-merge", "Merge into a whole model", disabled=busy))
    what = "adapter" if standing.kind == "adapter" else "model"
    buttons.append(_download(job, "result", f"Download the {what}"))
    buttons.append(_button("result-hub", "Put it on the Hub", disabled=busy))
    return f'<div class="deeds">{"".join(buttons)}</div>{_note(standing)}{_work(job, work)}'


def _adapter_buttons(standing: Standing) -> list[str]:
    found = []
    if standing.loaded is not None:
        found.append(
            _button("result-chat", "Chat with it", first=True, value=standing.loaded)
            + _button("result-unload", "Unload")
        )
    elif standing.runs_base is False and standing.can_switch and not standing.runs:
        found.append(_button("result-switch", "Switch to its base", first=True, value="base"))
    elif standing.runs_base is not False:
        found.append(_button("result-chat", "Chat with it", first=True, disabled=not standing.ready))
    if standing.is_merged and standing.can_switch:
        if standing.runs == "merged":
            found.append(
                _button("result-chat", "Chat with it", first=True, value="", disabled=not standing.ready)
            )
            found.append(_button("result-switch", "Back to its base", value="base"))
        else:
            found.append(_button("result-switch", "Switch to the merged model", value="merged"))
    return found


def _model_buttons(standing: Standing) -> list[str]:
    if standing.runs:
        return [
            _button("result-chat", "Chat with it", first=True, value="", disabled=not standing.ready),
            *([_button("result-switch", "Back to its base", value="base")] if standing.can_switch else []),
        ]
    if standing.can_switch:
        return [_button("result-switch", "Switch to it", first=True, value="result")]
    return []


def _note(standing: Standing) -> str:
    words = ""
    if not standing.ready:
        words = f"{standing.words}."
    elif standing.loaded is not None:
        words = f"It is loaded as {standing.loaded}, and everybody can choose it as the model of a chat."
    elif standing.runs:
        words = f"It is the running model, {standing.running}."
    elif standing.kind == "model" and not standing.can_switch:
        words = "The worker runs elsewhere: download this model and start the worker there with it."
    elif standing.kind == "adapter" and standing.runs_base is False:
        words = (
            f"The adapter was trained on {shown(standing.base)}, but {standing.running} is running. It fits its own "
            "base only."
        )
    failed = f'<p class="note failed" role="alert">{escape(standing.failed)}</p>' if standing.failed else ""
    return failed + (f'<p class="note">{escape(words)}</p>' if words else "")


def shown(model: str) -> str:
    """A folder as it is seen from the program's own."""
    return model.removeprefix(f"{ROOT}/")


def _work(job: Job, work: WorkState) -> str:
    if work.phase == "none" or (work.job_id != job.id and work.phase != "running"):
        return ""
    running = work.phase == "running"
    known = work.fraction is not None
    percent = round(100 * (work.fraction or 0))
    stop = ' <button type="button" class="link" data-do="result-halt">Stop</button>' if running else ""
    bar = "bar" if known or not running else "bar unknown"
    return (
        f'<div class="job" role="status" data-phase="{work.phase}"><div class="{bar}" role="progressbar" '
        f'aria-valuemin="0" aria-valuemax="100" aria-valuenow="{percent}"><i style="width: {percent}%"></i></div>'
        f'<p><span class="words">{_linked(work.words)}</span>{stop}</p></div>'
    )


def _linked(words: str) -> str:
    """The address of an upload can be followed."""
    before, mark, address = words.partition("Uploaded: ")
    if not mark or not address.startswith(("https://", "http://")):
        return escape(words)
    place = escape(address.removesuffix("."))
    return f'{escape(before)}Uploaded: <a class="link" href="{place}" target="_blank" rel="noreferrer">{place}</a>'


def _button(
    do: str, label: str, *, first: bool = False, value: str | None = None, disabled: bool = False
) -> str:
    given = "" if value is None else f' data-value="{escape(value)}"'
    return (
        f'<button type="button" class="choice{" first" if first else ""}" data-do="{do}"{given}'
        f"{' disabled' if disabled else ''}>{escape(label)}</button>"
    )


def _download(job: Job, part: str, label: str) -> str:
    return (
        f'<a class="choice" href="training/results/{escape(job.id)}/{part}.zip" download>{escape(label)}</a>'
    )


# -- side by side ------------------------------------------------------------------------------------------------------


def rows_html(job: Job, rows: Sequence[HeldOut], only: str) -> str:
    """The questions, with those that changed first to choose from. `only`: all, gained, lost or wrong."""
    if not rows:
        return ""
    missed = [row for row in rows if row.after is not None and not row.is_right]
    sorts = {
        "all": ("All", list(rows)),
        "gained": ("Learned", [row for row in rows if row.is_right and not row.was_right]),
        "lost": ("Lost", [row for row in missed if row.was_right]),
        "wrong": ("Still wrong", [row for row in missed if not row.was_right]),
    }
    chosen = sorts.get(only, sorts["all"])[1]
    tabs = "".join(
        f'<button type="button" role="tab" data-do="result-rows" data-value="{name}" '
        f'aria-selected="{"true" if name == only else "false"}"{"" if each else " disabled"}>{words} '
        f"<span>{len(each):,}</span></button>"
        for name, (words, each) in sorts.items()
    )
    listed = "".join(_row(job, row) for row in chosen[:MOST_ROWS])
    more = len(chosen) - MOST_ROWS
    rest = f'<p class="faint">And {more:,} more, in answers.jsonl of the run.</p>' if more > 0 else ""
    none = '<p class="faint big">None.</p>' if not chosen else ""
    return (
        f'<div class="sorts" role="tablist" aria-label="Which held-out answers">{tabs}</div>'
        f'<ol class="compared">{listed}</ol>{none}{rest}'
    )


def _row(job: Job, row: HeldOut) -> str:
    earlier = "".join(f'<p class="faint">{escape(text)}</p>' for text in row.earlier)
    return (
        f'<li class="pair-of-answers" data-number="{row.number}">{_pictures(job, row)}<div class="asked">{earlier}'
        f'<p class="q" dir="auto">{escape(row.question)}</p>'
        f'<p class="right-one" dir="auto"><small>Right</small><span>{escape(row.right)}</span></p></div>'
        f"{_given('Before', row.before, row.right)}{_given('After', row.after, row.right)}"
        '<button type="button" class="link ask-now" data-do="result-ask">Ask both now</button>'
        '<div class="now" role="status"></div></li>'
    )


def _pictures(job: Job, row: HeldOut) -> str:
    shown_ones = "".join(
        f'<button type="button" class="picture" data-do="enlarge" data-picture="{address}" '
        f'aria-label="Enlarge the picture"><img src="{address}/thumb" alt="" loading="lazy" draggable="false"></button>'
        for address in (
            f"training/results/{escape(job.id)}/pictures/{row.number}/{place}"
            for place in range(len(row.pictures))
        )
    )
    return f'<div class="shots">{shown_ones}</div>'


def _given(title: str, text: str | None, right: str) -> str:
    if text is None:
        return f'<div class="said none"><small>{title}</small><p class="faint">not asked</p></div>'
    mark = "yes" if is_same(text, right) else "no"
    words = {"yes": "right", "no": "wrong"}[mark]
    icon = {"yes": "check", "no": "close"}[mark]
    shown_text = escape(text) or "<i>nothing</i>"
    return (
        f'<div class="said" data-mark="{mark}"><small><svg class="icon" role="img" aria-label="{words}">'
        f'<use href="#icon-{icon}"></use></svg>{title}</small><p dir="auto">{shown_text}</p></div>'
    )


def now_html(asking: Asking, right: str, titles: Sequence[str]) -> str:
    """What the models say now, under their names."""
    parts = zip(titles, asking.said.items(), strict=False)
    return "".join(_now(title, name, said, right) for title, (name, said) in parts)


def _now(title: str, name: str, said: Said, right: str) -> str:
    if said.failed:
        return f'<div class="said failed"><small>{escape(title)}</small><p>{escape(said.text)}</p></div>'
    if said.ended:
        return _given(f"{escape(title)}, {escape(name)}", said.text, right)
    words = escape(said.text) if said.text else '<span class="phase">Asking</span>'
    return f'<div class="said"><small>{escape(title)}, {escape(name)}</small><p dir="auto">{words}</p></div>'
