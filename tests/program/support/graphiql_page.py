"""The page at /graphql in a real browser, as a person uses it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from playwright.async_api import Locator, Page, Route, ViewportSize, async_playwright, expect

from tests.support.clients.browser import FLAGS, PATIENCE

WINDOW: ViewportSize = {"width": 1440, "height": 900}
TELL_OF_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`the policy forbids ${event.blockedURI} (${event.violatedDirective})`));
"""


@asynccontextmanager
async def opened(chromium: str, address: str) -> AsyncIterator[Page]:
    """Open the address with every other host out of reach; at the end, nothing must have failed or left the server."""
    wrong: list[str] = []
    host = urlsplit(address).netloc

    async def only_ours(route: Route) -> None:
        if urlsplit(route.request.url).netloc == host:
            await route.continue_()
        else:
            wrong.append(f"asked another host: {route.request.url}")
            await route.abort()

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        context = await browser.new_context(viewport=WINDOW)
        await context.grant_permissions(["clipboard-read", "clipboard-write"])
        await context.add_init_script(TELL_OF_VIOLATIONS)
        await context.route(lambda address: not address.startswith(("data:", "blob:")), only_ours)
        context.set_default_timeout(PATIENCE)
        page = await context.new_page()
        page.on("console", lambda said: wrong.append(said.text) if said.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url}"))
        page.on(
            "response", lambda answer: wrong.append(f"{answer.status} {answer.url}") if answer.status > 399 else None
        )
        page.on("websocket", lambda socket: wrong.append(socket.url) if urlsplit(socket.url).netloc != host else None)
        await page.goto(address)
        yield page
        await browser.close()
    assert wrong == []


class Graphiql:
    """What a person sees and does on the page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.query = page.locator(".graphiql-query-editor .view-lines")
        self.answer = page.locator(".graphiql-response .view-lines")
        self.explorer = page.locator(".graphiql-explorer-root")

    async def press(self, name: str) -> None:
        """Press the button of that name."""
        await self.page.get_by_role("button", name=name).click()

    async def run(self) -> None:
        """Run the query in the editor."""
        await self.page.get_by_role("button", name="Execute query").click()

    async def turn_to(self, title: str) -> None:
        """Turn to the tab of that title."""
        await self.page.get_by_role("tab", name=title).click()
        await shows(self.query, f" {title}")

    async def kept(self) -> str:
        """Everything that the page keeps in the browser for the next visit."""
        return str(await self.page.evaluate("JSON.stringify(localStorage)"))


async def shows(place: Locator, text: str) -> None:
    """Wait until the text is there."""
    await expect(place).to_contain_text(text, timeout=PATIENCE)
