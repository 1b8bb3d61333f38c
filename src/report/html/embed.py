#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""embed.py OUTPUT PAGE STYLE SCRIPT...: writes PAGE, with @STYLE@ and @SCRIPT@ replaced by the other files, as C++ string
literals."""
import sys
from pathlib import Path

PIECE = 15000  # characters: compilers may not accept literals over 64 KiB


def main(output, page, style, *scripts):
    read = lambda path: Path(path).read_text(encoding='utf-8')
    text = read(page).replace('@STYLE@', read(style)).replace('@SCRIPT@', '\n'.join(read(s) for s in scripts))
    pieces = [text[i:i + PIECE] for i in range(0, len(text), PIECE)]
    assert text.count('@DATA@') == 1 and ')~~"' not in text
    Path(output).write_text(''.join(f'R"~~({p})~~",\n' for p in pieces), encoding='utf-8')


main(*sys.argv[1:])
