"""Draw docs/describe*.png: the page of GPT-2's initial weights, three of whose tensors are spoilt.

make screenshots
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parents[1]
OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
PROJECTION = "transformer.h.3.attn.c_proj.weight"
# Of each picture: width, height, colours, and what is open.
PICTURES = {
    "describe": (1400, 1240, "light", ""),
    "describe-tensor": (1400, 1000, "dark", f"#tensor={PROJECTION}"),
    "describe-phone": (390, 844, "light", "#tensor=transformer.h.9.mlp.c_fc.weight"),
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "page.html")
        _initgen(folder, "generate", str(ROOT / "examples/gpt2.yaml"), "-o", "gpt2.safetensors")
        spoil(Path(folder, "gpt2.safetensors"))
        _initgen(folder, "describe", "gpt2.safetensors", "--quiet", "--html", page.name)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=OPTIONS
            )
            for name in PICTURES:
                draw(browser, page, name)
            browser.close()


def _initgen(folder: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "initgen", *arguments], cwd=folder, check=True)


def spoil(path: Path) -> None:
    """Do to three tensors what goes wrong in practice."""
    # The factor for the depth forgotten, ...
    values(path, PROJECTION)[:] *= math.sqrt(24)
    # ... a few values lost, ...
    values(path, "transformer.h.7.mlp.c_fc.weight")[1000:1016] = np.nan
    # ... a uniform distribution in the place of a normal one, of the same variance.
    uniform = values(path, "transformer.h.9.mlp.c_fc.weight")
    uniform[:] = np.random.default_rng(1).uniform(-1, 1, uniform.size) * 0.02 * math.sqrt(3)


def values(path: Path, name: str) -> npt.NDArray[np.float32]:
    """Return the values of a tensor of a safetensors file, which change with what is returned."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        begin, end = json.loads(file.read(length))[name]["data_offsets"]
    return np.memmap(path, "<f4", "r+", 8 + length + begin, (end - begin) // 4)


def draw(browser: Browser, page: Path, name: str) -> None:
    width, height, colours, where = PICTURES[name]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=colours,
        device_scale_factor=1 if width > 1000 else 2,
        reduced_motion="reduce",
    )
    tab = context.new_page()
    tab.goto(page.as_uri() + where)
    tab.locator("#panel" if where else "#tensors").wait_for()
    tab.screenshot(path=ROOT / "docs" / f"{name}.png")
    context.close()


if __name__ == "__main__":
    main()
