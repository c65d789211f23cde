"""`python -m tests.contract`: writes the pages that describe the HTTP side."""

from tests.contract import PAGES

for page, make in PAGES.items():
    page.write_text(make(), encoding="utf-8")
