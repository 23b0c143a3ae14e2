"""Rows about one person who asks: the same tokens, the first piece of a first and of a second turn, and the pace."""

from __future__ import annotations

from scripts.engine_bench.bench import Bench
from scripts.engine_bench.row import Bar, Row
from scripts.engine_bench.talk import Talk
from scripts.engine_bench.timed import read_one, read_together

GENERATE = "`generate`"


def greedy_tokens(bench: Bench) -> Row:
    """Talks with no, one and two pictures and up to three turns, once alone and once all together, in float32.

    The text is compared; with the random model's tokenizer each id is one word, so equal text is equal tokens.
    """
    talks = [_greedy_talk(bench, index) for index in range(bench.plan.greedy_talks)]
    answer_tokens = bench.plan.answer_tokens // 2
    num_same = num_asked = 0
    for turn in range(3):
        # A third has one turn, a third two, a third three.
        talks = [talk for index, talk in enumerate(talks) if index % 3 >= turn] if turn else talks
        requests = [bench.talks.request(talk, answer_tokens) for talk in talks]
        expected = [bench.reference.read(request) for request in requests]
        alone = [read_one(bench.engine, request) for request in requests[::2]]
        together = read_together(bench.engine, requests)
        for wanted, got in [*zip(expected[::2], alone, strict=True), *zip(expected, together, strict=True)]:
            num_asked += 1
            num_same += (wanted.text, wanted.num_tokens) == (got.text, got.num_tokens)
        talks = [
            talk.answered(answer.text, bench.talks.words(5))
            for talk, answer in zip(talks, expected, strict=True)
        ]
    note = f"{bench.plan.greedy_talks} conversations of 1 to 3 turns with 0 to 2 pictures, alone and all together"
    shown = f"{num_same} of {num_asked} the same"
    return Row("greedy tokens", GENERATE, shown, "", num_same / num_asked, bar=Bar(1.0, 1.0), note=note)


def _greedy_talk(bench: Bench, index: int) -> Talk:
    num_pictures = (1, 0, 2, 1)[index % 4]
    room = bench.loaded.context_tokens - 3 * bench.plan.answer_tokens - 100
    if num_pictures * bench.loaded.num_patches > room:
        num_pictures = 1
    return bench.talks.cold(40 + 17 * index, tuple(bench.talks.picture() for _ in range(num_pictures)))


def second_turn(bench: Bench) -> Row:
    """The first piece of the answer to a follow-up, with the first turn asked and answered just before."""
    ours, theirs = [], []
    for turn in bench.each_round():
        first = bench.talks.cold(bench.plan.history_tokens - bench.plan.answer_tokens)
        answer = read_one(bench.engine, bench.talks.request(first, bench.plan.answer_tokens))
        request = bench.talks.request(first.answered(answer.text, bench.talks.words(6)), 2)
        if turn % 2:
            theirs.append(bench.reference.read(request).first)
        ours.append(read_one(bench.engine, request).first)
        if not turn % 2:
            theirs.append(bench.reference.read(request).first)
    note = f"{len(request.input_ids)} tokens in the last round's prompt"
    return Row.paired(
        "second turn, time to first token", GENERATE, "s", ours, theirs, Bar(1 / 7, 1 / 15, most=True), note
    )


def first_turn(bench: Bench) -> Row:
    """The first piece of a cold answer about a new picture."""
    requests = [
        bench.talks.request(bench.talks.cold(bench.plan.history_tokens - bench.plan.answer_tokens), 2)
        for _ in bench.each_round()
    ]
    to_us, to_them = iter(requests), iter(requests)
    ours, theirs = bench.by_turns(
        lambda: read_one(bench.engine, next(to_us)).first, lambda: bench.reference.read(next(to_them)).first
    )
    note = f"{len(requests[0].input_ids)} tokens, {len(requests[0].pictures)} picture"
    return Row.paired(
        "first turn, time to first token, alone", GENERATE, "s", ours, theirs, Bar(1.1, 0.9, most=True), note
    )


def decode(bench: Bench) -> Row:
    """Tokens a second of one stream, its prompt's reading left out."""
    talks = [
        bench.talks.cold(bench.plan.history_tokens - bench.plan.answer_tokens) for _ in bench.each_round()
    ]
    requests = [bench.talks.request(talk, bench.plan.answer_tokens) for talk in talks]
    to_us, to_them = iter(requests), iter(requests)
    ours, theirs = bench.by_turns(
        lambda: read_one(bench.engine, next(to_us)).tokens_per_second,
        lambda: bench.reference.read(next(to_them)).tokens_per_second,
    )
    note = f"{bench.plan.answer_tokens} tokens after {len(requests[0].input_ids)}"
    return Row.paired("decode, one stream", GENERATE, "tokens/s", ours, theirs, Bar(1.25, 1.5), note)
