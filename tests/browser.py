"""A real browser: Debian's chromium, or whichever of its kind is installed. None is downloaded."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
REQUIRED = "REQUIRE_BROWSER"
"""The environment variable under which a missing browser is a failure."""
PATIENCE = 600_000
"""Milliseconds."""
SETTLED = "document.querySelectorAll('.plot').length === document.querySelectorAll('.vega-embed').length"


def executable() -> str:
    """The browser's path; without one, tests are skipped, or fail where REQUIRE_BROWSER is set."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        (pytest.fail if os.environ.get(REQUIRED) else pytest.skip)("no browser; install one: apt-get install chromium")
    return found


@contextmanager
def launched() -> Iterator[Browser]:
    """A headless browser; as root without its sandbox, which root has none of."""
    path = executable()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, chromium_sandbox=os.geteuid() != 0, args=["--disable-gpu"], timeout=PATIENCE
        )
        yield browser
        browser.close()


@contextmanager
def visit(browser: Browser, path: Path, **context: Any) -> Iterator[Page]:
    """A page, once its charts are drawn."""
    opened = browser.new_context(**context)
    opened.set_default_timeout(PATIENCE)
    page, said, asked = opened.new_page(), [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    if context.get("java_script_enabled", True):
        page.wait_for_function(SETTLED)
    yield page
    opened.close()
    assert (said, asked) == ([], [path.as_uri()])
