"""The small round buttons that stand below a turn and beside a conversation, and the symbols in them."""

from __future__ import annotations


def icon(name: str) -> str:
    """A symbol of the sprite in shell.html."""
    return f'<svg class="icon" aria-hidden="true"><use href="#icon-{name}"></use></svg>'


def tool(
    do: str,
    label: str,
    symbol: str,
    *,
    value: str = "",
    disabled: bool = False,
    pressed: bool | None = None,
    needs: str = "",
    popup: str = "",
) -> str:
    """A button whose click the browser tells apart by `do` and `value`; `label` is said and shown on hover.

    `needs` is a feature of the server without which it is not shown; `popup` says that it opens something: a menu where
    the name ends so, else a dialog.
    """
    held = f' data-value="{value}"' if value else ""
    state = "" if pressed is None else f' aria-pressed="{"true" if pressed else "false"}"'
    off = " disabled" if disabled else ""
    off += f' data-needs="{needs}"' if needs else ""
    if popup:
        off += f' aria-haspopup="{"menu" if popup.endswith("menu") else "dialog"}"'
    return (
        f'<button type="button" class="tool" data-do="{do}"{held} title="{label}" '
        f'aria-label="{label}"{state}{off}>{icon(symbol)}</button>'
    )
