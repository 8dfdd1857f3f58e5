"""Every page: its blocks run, its links lead somewhere, the reference is that of the code, the two READMEs agree."""

import contextlib
import doctest
import importlib
import os
import pkgutil
import re
import runpy
import shutil
import tempfile
from pathlib import Path

import pytest

import maas
from maas.client import running_servers
from maas.errors import ServingError
from maas.serving import attach

from .pages import PRINTED, RUN, SHOWN, alike, blocks_of, run_command, run_page, run_shell

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md")), *sorted((ROOT / "benchmarks").rglob("*.md"))]
WINE = "maas sample wine --output wine.csv\nmaas fit wine.csv --target cultivar --output artifacts/wine --epochs 5\n"
PREPARED = dict.fromkeys(("docs/doctor.md", "docs/troubleshooting.md"), f"{WINE}maas package artifacts/wine")
"""What the reader of these pages has made before."""
ELSEWHERE = {  # they need a server that other tests have
    "README.md": "test_readme.py",
    "README.zh-CN.md": "test_docs.py",  # its blocks are those of README.md
    "docs/client.md": "serving/test_pages.py",
    "docs/generate-serving.md": "serving/test_pages.py",
    "docs/protocols.md": "serving/test_pages.py",
}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.timeout(600)  # some pages train and serve several times
@pytest.mark.filterwarnings("default")  # as in processes of their own
@pytest.mark.parametrize("page", [page for page in PAGES if blocks_of(page, *RUN)], ids=name_of)
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if test := ELSEWHERE.get(name_of(page)):
        assert page.name in (ROOT / "tests" / test).read_text()
        return
    short = tempfile.mkdtemp(prefix="t")  # where servers and their sockets are found, apart from those of other tests
    monkeypatch.setenv("TMPDIR", short)
    monkeypatch.setattr(tempfile, "tempdir", short)
    try:
        run_shell(PREPARED.get(name_of(page), ""), tmp_path)
        run_page(page, tmp_path)
    finally:
        for server in running_servers():
            with contextlib.suppress(ServingError):  # one that a page has stopped may just be ending
                attach(server.url).stop(drain_seconds=0)
        while os.path.exists(short):  # a server that is just ending removes its folder, too
            shutil.rmtree(short, ignore_errors=True)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_of_a_page_is_of_a_known_language(page: Path) -> None:
    assert page.read_text().count("\n```") == 2 * len(blocks_of(page))
    assert {block.language for block in blocks_of(page)} <= {*RUN, *PRINTED, *SHOWN}


@pytest.mark.parametrize(
    ("shown", "printed", "are"),
    [
        ("a 0.93  b\n", "a 0.91 b", True),
        ("a 0.93", "a 0.4", False),
        ("a 1,024 rows", "a 7 rows", True),
        ("{'label': 0, ...}", "{'label': 2, 'more': [1]}", True),
        ("first\n...\nlast", "first\n1\n2\nlast\n", True),
        ("first\n...\nlast", "first\nlast and more", False),
        ("a word", "a ward", False),
        ("+0.0 (-0.1 to +0.1): no difference shown", "+0.1 (+0.0 to +0.2): the network is better", True),
    ],
)
def test_what_counts_as_printed(shown: str, printed: str, are: bool) -> None:
    assert alike(shown, printed) is are


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} (.+?) *$", outside_of_code(page), re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        found.add(next(one for one in (slug, *(f"{slug}-{at}" for at in range(1, 99))) if one not in found))
    return found


def outside_of_code(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


def links_of(page: Path) -> list[str]:
    text = re.sub(r"`[^`\n]*`", "", re.sub(r"^    .*$", "", outside_of_code(page), flags=re.MULTILINE))
    return re.findall(r"\]\(([^)\s]+)\)", text)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_within_the_repository_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for link in links_of(page):
        if re.match(r"(https?|mailto):", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_the_index_leads_to_every_page() -> None:
    index = DOCS / "README.md"
    linked = {(DOCS / link.partition("#")[0]).resolve() for link in links_of(index)}
    pages = {page for page in DOCS.rglob("*.md") if page != index and page.parent.name != "api"}
    assert pages - linked == set()
    assert DOCS / "api" / "README.md" in linked


def test_the_reference_is_what_the_code_says() -> None:
    written = runpy.run_path(str(ROOT / "scripts" / "api_reference.py"))["pages"]()
    remedy = "run python scripts/api_reference.py"
    assert {page.name for page in (DOCS / "api").glob("*.md")} == set(written), remedy
    stale = [name for name, text in written.items() if (DOCS / "api" / name).read_text("utf-8") != text]
    assert stale == [], remedy


def test_the_examples_in_docstrings_print_what_they_show() -> None:
    tried = 0
    for module in ["maas", *(one.name for one in pkgutil.walk_packages(maas.__path__, "maas."))]:
        if not module.endswith("__main__"):
            done = doctest.testmod(importlib.import_module(module), optionflags=doctest.NORMALIZE_WHITESPACE)
            assert not done.failed, module
            tried += done.attempted
    assert tried > 30


def test_the_two_readmes_have_the_same_code_and_commands() -> None:
    """README.zh-CN.md is written for readers of Chinese, not word for word; what can be pasted is equal."""
    ours, theirs = ([(block.language, block.code) for block in blocks_of(page)] for page in (ENGLISH, CHINESE))
    assert ours == theirs
    assert commands_of(ENGLISH) == commands_of(CHINESE)
    assert set(links_of(ENGLISH)) - {CHINESE.name} == set(links_of(CHINESE)) - {ENGLISH.name}


def commands_of(page: Path) -> list[str]:
    """The commands of indented blocks, without their comments."""
    lines = re.findall(
        r"^    ((?:maas|pip|bash|python|torchserve|torch-model-archiver) .*)$", outside_of_code(page), re.M
    )
    return [re.sub(r" {2,}(#.*)?$", "", line).strip() for line in lines]


def test_the_pages_name_no_command_that_there_is_not() -> None:
    known = set(re.findall(r"^    ([a-z-]+)\b", run_command(["maas", "--help"], ROOT), re.MULTILINE))
    assert "fit" in known
    for page in PAGES:
        code = "\n".join(block.code for block in blocks_of(page, "bash", "console"))
        indented = "\n".join(re.findall(r"^    (.*)$", outside_of_code(page), re.MULTILINE))
        named = set(re.findall(r"^(?:\$ )?maas ([a-z][a-z-]+)", f"{code}\n{indented}", re.MULTILINE))
        assert named - known == set(), name_of(page)
