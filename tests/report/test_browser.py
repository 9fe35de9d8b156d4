"""The report in a real browser: no network, sliders that choose as `python -m distill choose` does, for everyone."""

import random
import struct
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from distill.report.budget_explorer import answer
from distill.report.candidates import Candidate
from distill.report.choose import Budget, choose, sentence
from distill.report.page import write_page
from tests import browser, reports
from tests.benchmarks.picture import photograph
from tests.reports import TWO_PARAMS, read_params, write_cascade, write_two

DESKTOP, PHONE, SMALL = ({"width": width, "height": height} for width, height in ((1280, 900), (390, 844), (360, 640)))
SET_ALL = """([number, states]) => {
  const block = document.querySelectorAll(".answer-set")[number], form = block.querySelector("form");
  const sliders = form.querySelectorAll("input[type=range]");
  const numbers = (found) => [...block.querySelectorAll(found)].map((part) => Number(part.dataset.candidate));
  return states.map(([places, prefer, cascades]) => {
    form.querySelectorAll("input[type=checkbox]").forEach((box) => { box.checked = cascades; });
    places.forEach((place, index) => { sliders[index].value = place; });
    form.querySelector(`input[value=${prefer}]`).checked = true;
    form.dispatchEvent(new Event("input"));
    const part = (name) => block.querySelector(name).textContent;
    return {
      line: part(".line"), name: part(".name"), score: part("[data-text=score]"),
      rings: numbers("g.chosen"), out: numbers("g.out"), rows: numbers("tr.chosen"), faded: numbers("tr.out"),
    };
  });
}"""


@pytest.fixture(scope="module")
def chromium():
    with browser.launched() as found:
        yield found


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    params = write_two(folder)
    write_cascade(folder)
    write_page((), folder, answer(params, folder / "data"))
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The report of a project, all of it."""
    folder = tmp_path_factory.mktemp("whole")
    reports.write_report(folder)
    return folder / "index.html"


@pytest.fixture
def page(chromium: Browser, project: Path):
    """The page's top, on a desktop."""
    with browser.visit(chromium, project / "index.html", viewport=DESKTOP) as found:
        yield found


def shown(page: Page) -> str:
    return page.locator(".answer-set:not([hidden]) .line").inner_text()


def unhinted(line: str) -> str:
    """Without what the command says of options."""
    return line.partition("; --")[0].partition("; no single")[0]


def test_sliders_choose_as_the_command_does(page: Page, project: Path) -> None:
    params = read_params(project, TWO_PARAMS)
    draw, seen = random.Random(1), set()
    for number, own in enumerate(answer(params, project / "data")["sets"]):
        found = reports.measured_candidates(project / "data", params.shippable())[own["name"]]
        by_label = {str(one): one for one in found}
        can = any(one.sent is not None for one in found)
        stops = [slider["stops"] for slider in own["sliders"]]
        states = [
            (
                [draw.randrange(len(values)) for values in stops],
                draw.choice(["score", "latency", "size"]),
                can and draw.random() < 0.5,
            )
            for _ in range(400)
        ]
        for (places, prefer, cascades), said in zip(states, page.evaluate(SET_ALL, [number, states]), strict=True):
            limits = [values[place] for values, place in zip(stops, places, strict=True)]
            budget = Budget(max_latency_ms=limits[0], max_megabytes=limits[1], min_retention=limits[2], cascades=cascades)
            choice = choose(found, budget, prefer)
            expected = choice.best or choice.nearest
            assert unhinted(sentence(choice, budget)) == said["line"]
            assert (said["name"], said["rings"], said["rows"]) == (expected.name, [said["rings"][0]] * 2, said["rings"][:1])
            assert Candidate(**{key: own["candidates"][said["rings"][0]][key] for key in Candidate.__annotations__}) == expected
            listed = [by_label[one["label"]] for one in own["candidates"]]
            out = [place for place, one in enumerate(listed) if budget.misses(one) or not budget.admits(one)]
            assert (said["out"], said["faded"]) == (out * 2, out)
            seen.add((expected, choice.best is None))
    assert len(seen) > 12


def test_it_begins_with_the_recommendation_and_reset_goes_back_to_it(page: Page, project: Path) -> None:
    (line, _) = (own["line"] for own in answer(read_params(project, TWO_PARAMS), project / "data")["sets"])
    assert shown(page) == line
    page.get_by_label("best score").first.check(force=True)
    page.get_by_label("Latency").first.press("Home")
    assert shown(page).startswith("nothing fits")
    page.get_by_role("button", name="Reset").click()
    page.wait_for_function("text => document.querySelector('.line').textContent === text", arg=line)


def test_the_keyboard_moves_a_slider_which_says_where_it_stands_and_goes_through_the_controls_in_order(page: Page) -> None:
    slider = page.get_by_label("Latency").first
    slider.focus()
    before = shown(page)
    assert slider.get_attribute("aria-valuetext") == "any"
    for _ in range(45):
        page.keyboard.press("ArrowLeft")
    assert slider.get_attribute("aria-valuetext").startswith("≤ ")
    assert page.locator("output").first.inner_text() == slider.get_attribute("aria-valuetext")
    assert shown(page) != before
    page.keyboard.press("End")
    assert shown(page) == before
    order = []
    page.get_by_label("Data set", exact=True).focus()
    for _ in range(7):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.type || document.activeElement.tagName"))
    assert order == ["reset", "range", "range", "range", "radio", "checkbox", "SUMMARY"]


def test_another_data_set_has_its_own_answer_and_print_shows_all_without_controls(page: Page) -> None:
    before = shown(page)
    page.get_by_label("Data set", exact=True).select_option("wire")
    assert "wired" in shown(page)
    assert shown(page) != before
    assert page.locator(".answer-set:visible").count() == 1
    page.emulate_media(media="print")
    assert [page.locator(f"{part}:visible").count() for part in (".line", "form")] == [2, 0]


def test_limits_are_shaded_in_the_charts(page: Page) -> None:
    chart = page.locator(".answer-set:visible .pareto").first
    assert float(chart.locator(".across").get_attribute("width")) == 0
    assert float(chart.locator(".below").get_attribute("height")) > 0
    page.get_by_label("Latency").first.press("Home")
    assert float(chart.locator(".across").get_attribute("width")) > 300


def test_without_javascript_the_answers_stand_there(chromium: Browser, project: Path) -> None:
    with browser.visit(chromium, project / "index.html", java_script_enabled=False) as page:
        assert [page.locator(f"{part}:visible").count() for part in (".line", ".pareto svg", "form")] == [2, 4, 0]


@pytest.mark.parametrize("part", ["answer", "whole"])
def test_it_fits_every_screen_in_both_colour_schemes(chromium: Browser, project: Path, whole: Path, part: str) -> None:
    path = whole if part == "whole" else project / "index.html"
    for size in (DESKTOP, PHONE, SMALL):
        with browser.visit(chromium, path, viewport=size) as page:
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
                assert len(page.screenshot()) > 15_000
                background = page.evaluate("getComputedStyle(document.body).backgroundColor")
                assert (sum(map(int, background.removeprefix("rgb(").removesuffix(")").split(","))) < 200) == (scheme == "dark")


def test_charts_are_drawn_and_axe_finds_nothing(chromium: Browser, whole: Path) -> None:
    with browser.visit(chromium, whole, viewport=DESKTOP) as page:
        drawn = page.locator(".plot svg").evaluate_all("all => all.map((one) => one.innerHTML.length)")
        assert len(drawn) == page.locator(".plot").count() > 4
        assert min(drawn) > 1000
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            found = Axe().run(page)
            assert found.violations_count == 0, found.generate_report()


def test_where_there_is_no_browser_tests_are_skipped_or_fail_where_one_is_required(monkeypatch) -> None:
    monkeypatch.setenv("PATH", "")
    for required, outcome in (("", pytest.skip.Exception), ("1", pytest.fail.Exception)):
        monkeypatch.setenv(browser.REQUIRED, required)
        with pytest.raises(outcome, match="apt-get install chromium"):
            browser.executable()


def test_the_pictures_of_the_readme_show_the_answer_light_and_dark(chromium: Browser, whole: Path, tmp_path: Path) -> None:
    pictures = {scheme: tmp_path / f"{scheme}.png" for scheme in ("light", "dark")}
    photograph(chromium, whole, pictures)
    light, dark = (picture.read_bytes() for picture in pictures.values())
    assert light != dark
    for picture in (light, dark):
        width, height = struct.unpack(">II", picture[16:24])
        assert (width, 700 < height < 1400, len(picture) > 30_000) == (1280, True, True)
