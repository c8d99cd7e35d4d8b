"""How the demo is printed: colour where a terminal takes it, columns that stand under each other, nothing else."""

from __future__ import annotations

import os
import re
import shutil
import sys

# What the widest table takes; a narrower terminal gets a narrower form.
WIDE = 113
WIDTH = max(79, min(WIDE, shutil.get_terminal_size((WIDE, 40)).columns)) if sys.stdout.isatty() else WIDE
NARROW = WIDTH < WIDE
_COLOUR = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
_STYLES = {
    "bold": "1",
    "dim": "2",
    "yes": "1;32",
    "no": "1;33",
    "bad": "1;31",
    # One colour per seal, everywhere.
    "tls": "36",
    "encryption": "35",
    "signature": "33",
}
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def paint(style: str, text: str) -> str:
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if _COLOUR and style and text else text


def width(text: str) -> int:
    return len(_ESCAPES.sub("", text))


def pad(text: str, columns: int) -> str:
    return text + " " * max(0, columns - width(text))


def wrap(text: str, columns: int) -> list[str]:
    """Breaks at spaces, by what is seen: escapes take no room."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if width(longer) <= columns or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def say(text: str = "") -> None:
    print(text, flush=True)


def chapter(title: str, below: str = "") -> None:
    say()
    say(paint("bold", f"━━ {title} ") + paint("dim", "━" * max(0, WIDTH - len(title) - 4)))
    if below:
        paragraph(below, "   ", "dim")


def scene(number: str, title: str, right: str = "") -> None:
    say()
    left = f" {paint('bold', number)}  {paint('bold', title)}"
    say(pad(left, WIDTH - width(right)) + paint("dim", right) if right else left)


def paragraph(text: str, indent: str, style: str = "") -> None:
    for line in wrap(text, WIDTH - len(indent)):
        say(indent + paint(style, line))


def fact(label: str, text: str, style: str = "") -> None:
    """A labelled line; what does not fit goes below, under the text."""
    for at, line in enumerate(wrap(text, WIDTH - 24)):
        say("     " + paint("dim", pad(label if at == 0 else "", 19)) + paint(style, line))


def table(head: list[str], rows: list[list[str]], indent: str = "     ") -> None:
    columns = [max(width(row[at]) for row in [head, *rows]) for at in range(len(head))]
    for row in [[paint("dim", cell) for cell in head], *rows]:
        say(indent + "  ".join(pad(cell, size) for cell, size in zip(row, columns)).rstrip())
