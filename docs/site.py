# SPDX-License-Identifier: Apache-2.0
"""For mkdocs: files and folders of the repository that pages link to are pages too, and search works without a server."""
import json
import logging
import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\]\(([^)#:\s]+)")
FOUND = set()  # paths in the repository of all pages
LANGUAGES = {".build": "meson", ".cpp": "cpp", ".h": "cpp", ".py": "python", ".sh": "bash", ".toml": "toml"}
logging.getLogger("mkdocs.structure.nav").setLevel(logging.WARNING)  # sources are not in the navigation


def target(page, link):
    """What a link leads to, as a path in the repository; None if it is not there."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(page), link))
    return path if not path.startswith("..") and (ROOT / path).exists() else None


def named(path):
    """The name of a path of the repository as mkdocs shall see it: pages end with .md."""
    return path if path.endswith((".md", ".png", ".css")) else path + ".md"


def contents(folder):
    return sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / folder).iterdir() if p.name != "__pycache__")


def pages_of(nav):
    for entry in nav if isinstance(nav, list) else nav.values() if isinstance(nav, dict) else []:
        yield from [entry] if isinstance(entry, str) else pages_of(entry)


def on_files(files, config):
    """The theme's files, the pages of the navigation, and whatever can be reached from them."""
    waiting = [*pages_of(config["nav"]), *config["extra_css"]]
    FOUND.clear()
    while waiting:
        path = waiting.pop()
        if path in FOUND:
            continue
        FOUND.add(path)
        if path.endswith(".md"):
            links = LINK.findall((ROOT / path).read_text())
            waiting += filter(None, (target(path, to) for to in links))
        elif (ROOT / path).is_dir():
            waiting += [p for p in contents(path) if (ROOT / p).is_file()]
    theme = [f for f in files if not f.abs_src_path.startswith(config["docs_dir"])]
    return Files(theme + [File(named(path), str(ROOT), config["site_dir"], False) for path in sorted(FOUND)])


def is_source(page):
    return not (ROOT / page.file.src_uri).is_file()


def link(path, page):
    return posixpath.relpath(named(path), posixpath.dirname(page.file.src_uri))


def on_page_read_source(page, config):
    """The page of a source file, or of a folder."""
    if not is_source(page):
        return None
    path = page.file.src_uri.removesuffix(".md")
    if (ROOT / path).is_dir():
        text = "".join(f"- [{p}]({link(p, page)})\n" if p in FOUND else f"- {p}\n" for p in contents(path))
    else:
        language = LANGUAGES.get(Path(path).suffix, "text")
        text = f"````````{language}\n{(ROOT / path).read_text(errors='replace')}\n````````\n"
    return f"---\nhide: [navigation, toc]\n---\n# {path}\n\n{text}"


def on_page_markdown(markdown, page, config, files):
    """Links to sources become links to their pages."""
    def replaced(match):
        path = target(page.file.src_uri, match[1])
        return "](" + link(path, page) if path in FOUND else match[0]

    return markdown if is_source(page) else LINK.sub(replaced, markdown).replace("<details>", "<details markdown>")


def on_post_page(output, page, config):
    script = posixpath.relpath("search/offline.js", posixpath.dirname(page.file.dest_uri))
    return output.replace('<script id="__config"', f'<script src="{script}"></script><script id="__config"')


def on_post_build(config):
    """A script for the theme with what it would fetch from a server. Of sources, only the names are searched."""
    site = Path(config["site_dir"])
    index = json.loads((site / "search/search_index.json").read_text())
    for entry in index["docs"]:
        path = entry["location"].partition(".html")[0]
        if path != "index" and not (ROOT / (path + ".md")).is_file() and not path.endswith("/index"):
            entry["text"] = ""
    worker = next(site.glob("assets/javascripts/workers/search.*.min.js")).read_text()
    (site / "search/search_index.json").write_text(json.dumps(index))
    (site / "search/offline.js").write_text(
        f"var __search = {{index: Promise.resolve({json.dumps(index)}),\n"
        f"  worker: URL.createObjectURL(new Blob([{json.dumps(worker)}]))}};")
