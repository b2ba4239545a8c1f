#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""picture.py TITLE: reads the screen of a terminal, with escape sequences for colours, and prints
a picture of it as SVG."""

import io
import sys

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

COLUMNS = 132
# Legible on a white and on a black page, and in black and white.
THEME = TerminalTheme((24, 26, 31), (225, 225, 225), [
    (24, 26, 31), (255, 120, 110), (120, 220, 120), (230, 200, 90),
    (120, 170, 255), (220, 140, 255), (100, 215, 215), (225, 225, 225)])
FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<!-- SPDX-License-Identifier: GPL-2.0 -->
<style>
.{unique_id}-matrix {{ font-family: monospace; font-size: {char_height}px;
line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix" xml:space="preserve">
{matrix}
</g>
</g>
</svg>
"""


def main(title):
    """Prints the picture."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True,
                      legacy_windows=False)
    for line in sys.stdin.read().rstrip("\n").split("\n"):
        console.print(Text.from_ansi(line), no_wrap=True, overflow="crop", soft_wrap=True)
    # Without an identifier, it would differ in each run.
    print(console.export_svg(title=title, theme=THEME, code_format=FORMAT, unique_id="iptverdict"))


main(*sys.argv[1:])
