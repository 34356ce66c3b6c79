"""Links in the pages lead to files that exist and, for ``[`name`](file)``, hold a definition of that name."""
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")]
LINK = re.compile(r"\[([^]]*)\]\((?!https?:)([^)#\s]+)[^)]*\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links(page):
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for text, target in LINK.findall(prose):
        path = (page.parent / target).resolve()
        assert path.exists(), f"{page.name} links to {target}, which does not exist"
        name = re.fullmatch(r"`(\w+)`", text)
        if name and path.suffix in (".py", ".pyx", ".pxd"):
            definition = rf"^\s*(def|class|cdef|cpdef)\b[^=\n#]*\b{name[1]}\b\s*[(:]"
            assert re.search(definition, path.read_text(), re.MULTILINE), f"{page.name} says that {target} holds {name[1]}"
