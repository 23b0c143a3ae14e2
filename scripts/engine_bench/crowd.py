"""Rows about several people at once: throughput, and how long a running answer stands still for a newcomer."""

from __future__ import annotations

import asyncio
from statistics import median

from model.engine.request import GenerationRequest
from scripts.engine_bench.alone import GENERATE
from scripts.engine_bench.bench import Bench
from scripts.engine_bench.row import Bar, Row
from scripts.engine_bench.talk import Talk
from scripts.engine_bench.timed import Timed, read, read_together, seconds


def streams(bench: Bench) -> Row:
    """Eight cold streams with a picture each, all at once, against `generate` one after another."""
    plan = bench.plan
    batches = [cold_requests(bench, plan.num_streams) for _ in bench.each_round()]
    to_us, to_them = iter(batches), iter(batches)
    ours, theirs = bench.by_turns(
        lambda: seconds(read_together(bench.engine, next(to_us))),
        lambda: seconds([bench.reference.read(request) for request in next(to_them)]),
    )
    note = f"{plan.num_streams} × {len(batches[0][0].input_ids)} tokens read, {plan.answer_tokens} written"
    return Row.paired(
        f"{plan.num_streams} streams in total, prefills included",
        f"{GENERATE} one after another",
        "s",
        ours,
        theirs,
        Bar(3.3, 5.0),
        note,
        upside_down=True,
    )


def cold_requests(bench: Bench, num_requests: int) -> list[GenerationRequest]:
    """So many first turns that share nothing, each with a picture of its own."""
    talks = [bench.talks.cold() for _ in range(num_requests)]
    return [bench.talks.request(talk, bench.plan.answer_tokens) for talk in talks]


def crowd(bench: Bench) -> Row:
    """32 conversations of three turns at once over 8 pictures; each asks on as soon as it is answered.

    `generate` answers a sample, spread over the pictures, and its time is multiplied: one after another, nothing of one
    conversation makes another faster or slower.
    """
    plan = bench.plan
    ours, theirs = [], []
    for turn in bench.each_round():
        pictures = [bench.talks.picture() for _ in range(plan.crowd_pictures)]
        talks = [bench.talks.cold(0, (pictures[index % len(pictures)],)) for index in range(plan.crowd)]
        asked = [[bench.talks.words(6) for _ in range(plan.crowd_turns - 1)] for _ in talks]
        sample = list(zip(talks, asked, strict=True))[:: max(1, plan.crowd // plan.crowd_sample)]
        for side in (0, 1) if turn % 2 == 0 else (1, 0):
            if side == 0:
                ours.append(_all_talk(bench, talks, asked))
            else:
                theirs.append(sum(_generate_talk(bench, *one) for one in sample) * plan.crowd / len(sample))
    note = (
        f"{plan.crowd_answer_tokens} tokens an answer; `generate` answered {len(sample)} of the {plan.crowd} "
        "conversations, times as many"
    )
    return Row.paired(
        f"{plan.crowd} streams over {plan.crowd_pictures} pictures, {plan.crowd_turns} turns each, in total",
        f"{GENERATE} one after another",
        "s",
        ours,
        theirs,
        Bar(4.0, 8.0),
        note,
        upside_down=True,
    )


def _all_talk(bench: Bench, talks: list[Talk], asked: list[list[str]]) -> float:
    async def converse(talk: Talk, questions: list[str]) -> list[Timed]:
        answers = []
        for question in [*questions, ""]:
            answers.append(
                await read(bench.engine, bench.talks.request(talk, bench.plan.crowd_answer_tokens))
            )
            talk = talk.answered(answers[-1].text, question)
        return answers

    async def together() -> list[list[Timed]]:
        return await asyncio.gather(*(converse(*one) for one in zip(talks, asked, strict=True)))

    return seconds([answer for answers in asyncio.run(together()) for answer in answers])


def _generate_talk(bench: Bench, talk: Talk, questions: list[str]) -> float:
    total = 0.0
    for question in [*questions, ""]:
        answer = bench.reference.read(bench.talks.request(talk, bench.plan.crowd_answer_tokens))
        total += answer.ended - answer.started
        talk = talk.answered(answer.text, question)
    return total


def longest_gap(bench: Bench) -> Row:
    """A stream runs, a second with a new picture comes: the first one's longest wait between two pieces until the
    second's first piece, against its median wait while both run."""
    what = f"longest gap of a running stream while another prefills {bench.plan.history_tokens} tokens"
    against = "its normal gap with two streams"
    longest, normal = [], []
    for _ in bench.each_round():
        running, newcomer = asyncio.run(_meet(bench))
        begins = newcomer.times[0]
        pairs = list(zip(running.times, running.times[1:], strict=False))
        while_read = [late - early for early, late in pairs if late > newcomer.started and early < begins]
        with_two = [late - early for early, late in pairs if early >= begins and late <= newcomer.ended]
        if not while_read or not with_two:
            return Row.left_out(what, against, "the running stream had ended before both ran")
        longest.append(max(while_read))
        normal.append(median(with_two))
    return Row.paired(what, against, "s", longest, normal, Bar(4.0, 3.0, most=True))


async def _meet(bench: Bench) -> tuple[Timed, Timed]:
    """The stream that ran and the one that came; the first goes on for longer than the second."""
    plan = bench.plan
    # While the newcomer is read, the running stream takes a step a chunk, of which there are not more than this.
    while_read = plan.history_tokens // 16
    running = bench.talks.request(bench.talks.cold(), plan.answer_tokens + while_read + 8)
    newcomer = bench.talks.request(bench.talks.cold(plan.history_tokens), plan.answer_tokens // 2)
    task = asyncio.create_task(read(bench.engine, running))
    tokens_before = bench.engine.num_tokens_made
    while bench.engine.num_tokens_made < tokens_before + 3 and not task.done():
        await asyncio.sleep(0.002)
    came = await read(bench.engine, newcomer)
    return await task, came
