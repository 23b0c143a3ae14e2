"""Files that are dropped on the page."""

from __future__ import annotations

from tests.browser.visitor import Visitor

DROP = """() => {
    const carried = new DataTransfer();
    carried.items.add(new File(['{}'], 'train.json', {type: 'application/json'}));
    const say = name => new DragEvent(name, {dataTransfer: carried, bubbles: true, cancelable: true});
    const room = document.querySelector('.room');
    room.dispatchEvent(say('dragenter'));
    const offered = room.dataset.dropping === 'yes';
    const drop = say('drop');
    room.dispatchEvent(drop);
    return [offered, drop.defaultPrevented];
}"""


def test_a_file_goes_to_the_chat_only_where_the_chat_is_seen(visitor: Visitor) -> None:
    page = visitor.page
    assert page.evaluate(DROP) == [True, True]
    assert "train.json: " in visitor.notice()
    page.locator("#notice [data-do=hide-notice]").click()
    page.locator("[data-do=show-library]").click()
    assert page.evaluate(DROP) == [False, True]
    page.locator("[data-do=show-chat]").click()
    assert page.locator("#notice").is_hidden() and page.locator(".chip").count() == 0
