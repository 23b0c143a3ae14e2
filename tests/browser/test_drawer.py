"""The settings at the right."""

from __future__ import annotations

from tests.browser.visitor import Visitor


def test_the_sliders_have_names(visitor: Visitor) -> None:
    """A label names the first field in it, which was the number beside the slider."""
    visitor.page.locator('.top [data-do="drawer"]').click()
    for name in ("Temperature", "Top-p"):
        visitor.page.get_by_role("slider", name=name, exact=True).wait_for()
