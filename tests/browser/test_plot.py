"""The curves of a run."""

from __future__ import annotations

from tests.browser.visitor import Visitor

SMOOTHED = """() => {
    const plot = loop.plot('Loss', [{name: 'loss', words: 'training', kind: 'first', noisy: true}]);
    plot.figure.style.width = '600px';
    document.body.append(plot.figure);
    plot.draw(Array.from({length: 60}, (_, at) => ({step: at + 1, loss: 60 - at})));
    const points = [...plot.figure.querySelectorAll('.curve path')].map(path =>
        path.getAttribute('d').slice(1).split('L').map(pair => pair.split(' ').map(Number)));
    plot.figure.remove();
    return points;
}"""


def test_the_smooth_curve_lies_on_a_steady_fall_and_does_not_lag_behind_it(visitor: Visitor) -> None:
    measured, smooth = visitor.page.evaluate(SMOOTHED)
    assert len(measured) == len(smooth) == 60
    assert max(abs(one[1] - other[1]) for one, other in zip(measured, smooth, strict=True)) < 0.2
