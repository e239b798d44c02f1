"""A printed table, which has a line of ─ in it, keeps its lines and scrolls; any other printed text goes on below.

mkdocs calls `on_page_content`; docs/site.css does the rest.
"""

import re

BLOCK = re.compile(r"<pre>((?:(?!</pre>).)*────)", re.S)


def on_page_content(content, page, config, files):
    """The page's HTML, with a class on every `<pre>` that holds a table, which the keyboard can scroll too."""
    return BLOCK.sub(r'<pre class="table" tabindex="0">\1', content)
