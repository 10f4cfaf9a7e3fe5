"""Pages in a real Chromium, without a network, and with nothing to complain about."""

import shutil

import descriptions
import pytest
from playwright.sync_api import sync_playwright

from initgen import _html

OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
WIDE = {"width": 1400, "height": 900}


@pytest.fixture(scope="session")
def chromium():
    """The browser; that there is none is a failure, not a reason to skip."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    assert program, "no Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """Write the page of a description, once; return its address."""
    pages = {}

    def write(make):
        if make not in pages:
            path = tmp_path_factory.mktemp("pages") / "page.html"
            path.write_text(_html.render(make()), "utf-8")
            pages[make] = path.as_uri()
        return pages[make]

    return write


@pytest.fixture
def show(chromium, written):
    """Open a description's page; at the end, nothing may have gone wrong in it."""
    contexts, complaints, requests = [], [], []

    def open_page(make=descriptions.gpt2, *, size=WIDE, where="", **settings):
        context = chromium.new_context(viewport=size, reduced_motion="reduce", **settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(written(make) + where)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
