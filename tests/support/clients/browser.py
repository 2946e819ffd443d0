"""The browser on this machine, without a window."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Page, async_playwright

from tests.support.requirements import leave_out

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PATIENCE = 30_000  # milliseconds: the machine may be busy


def path() -> str:
    """The path of the browser; the test is skipped if there is none."""
    found = [path for name in BROWSERS if (path := shutil.which(name))]
    if not found:
        leave_out("there is no Chromium on this machine; install it to test the pages")
    return found[0]


@asynccontextmanager
async def open_page(address: str) -> AsyncIterator[Page]:
    """The page at that address, for the length of the block."""
    executable = path()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=FLAGS)
        page = await browser.new_page()
        page.set_default_timeout(PATIENCE)
        await page.goto(address)
        yield page
        await browser.close()
