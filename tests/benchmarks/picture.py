"""`make picture`: the top of data/report/index.html as the README shows it, docs/report.png and docs/report-dark.png."""

from pathlib import Path

from playwright.sync_api import Browser

from tests import browser

REPORT = Path("data/report/index.html")
PICTURES = {"light": Path("docs/report.png"), "dark": Path("docs/report-dark.png")}
WIDTH, HEIGHT, MARGIN = 1280, 1400, 24


def photograph(chromium: Browser, report: Path, pictures: dict[str, Path]) -> None:
    """Photograph a report's title and answer, in each of the colour schemes."""
    for scheme, picture in pictures.items():
        with browser.visit(chromium, report, viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme) as page:
            below = page.locator(".pareto-key:visible").bounding_box()
            height = below["y"] + below["height"] + MARGIN
            page.screenshot(path=picture, clip={"x": 0, "y": 0, "width": WIDTH, "height": height})


if __name__ == "__main__":
    if not REPORT.is_file():
        raise SystemExit(f"error: {REPORT}: is missing; run `make demo`, or `dvc repro report`")
    with browser.launched() as chromium:
        photograph(chromium, REPORT.absolute(), PICTURES)
    print(*PICTURES.values())
