"""What people do with the page of `describe --html`."""

import descriptions
import pytest
from playwright.sync_api import Error, expect

PROJECTION = "transformer.h.3.attn.c_proj.weight"
# What to type, and how many of the 148 names it fits.
FILTERS = {"c_attn": 24, "C_ATTN.W": 12, "*.weight": 75, "*.h.1?.ln_?.*": 8, "[": 0}
PHONES = [{"width": 390, "height": 844}, {"width": 320, "height": 568}]
MAKERS = [
    descriptions.gpt2,
    descriptions.large,
    descriptions.nasty,
    descriptions.unjudged,
    descriptions.empty,
]


def many():
    """More tensors than are shown at first."""
    return descriptions.description(descriptions.tensor(f"w{i}", (2, 2)) for i in range(2100))


def column(page, key):
    return page.locator(f"#table tbody .{key}").all_inner_texts()


def head(page, key):
    return page.locator(f"#table thead .{key} button")


def shown(page):
    return page.locator("#shown").inner_text()


def figures(page, key):
    """What a column sorts by, of each row in turn."""
    program = f"rows => rows.map(row => Number(row.querySelector('.{key}').textContent))"
    return page.locator("#table tbody tr").evaluate_all(program)


def opened(page, name):
    """Whether a tensor's panel comes up, with its very name."""
    # Addresses are followed a moment later; this waits, but takes white space lightly.
    expect(page.locator("#panel-title")).to_have_text(name)
    return page.locator("#panel-title").text_content() == name


# Sorting and filtering


def test_numbers_sort_by_size(show):
    page = show()
    head(page, "stddev").click()
    upwards = figures(page, "stddev")
    assert upwards == sorted(upwards)
    # Exponents sort differently as text.
    head(page, "mean").click()
    means = figures(page, "mean")
    assert means == sorted(means) != sorted(means, key=str)
    head(page, "mean").click()
    assert figures(page, "mean") == sorted(means, reverse=True)
    expect(page.locator("#table thead .mean")).to_have_attribute("aria-sort", "descending")
    expect(page.locator("#table thead .stddev")).to_have_attribute("aria-sort", "none")


def test_every_column_sorts_both_ways(show):
    page = show()
    for key in page.locator("#table thead th").evaluate_all("all => all.map(th => th.className)"):
        head(page, key).click()
        upwards = column(page, "name")
        expect(page.locator(f"#table thead .{key}")).to_have_attribute("aria-sort", "ascending")
        head(page, key).click()
        assert column(page, "name") != upwards
        assert sorted(column(page, "name")) == sorted(upwards)


def test_names_sort_with_their_numbers(show):
    page = show()
    head(page, "name").focus()
    page.keyboard.press("Enter")
    names = [name for name in column(page, "name") if name.endswith("ln_1.bias")]
    assert names == [f"transformer.h.{i}.ln_1.bias" for i in range(12)]


def test_verdicts_sort_by_urgency(show):
    page = show()
    head(page, "verdict").click()
    assert [text.split()[1] for text in column(page, "verdict")][:5] == ["off"] * 3 + ["not", "ok"]


def test_what_has_no_value_comes_last_both_ways(show):
    page = show(descriptions.unjudged)
    for _ in range(2):
        head(page, "mean").click()
        assert column(page, "mean")[-2:] == ["\N{EN DASH}"] * 2


def test_names_are_filtered(show):
    page = show()
    for text, count in FILTERS.items():
        page.locator("#filter").fill(text)
        assert shown(page) == f"{count} of 148 shown"
        assert len(column(page, "name")) == count


def test_filters_work_together_and_are_cleared(show):
    page = show()
    expect(page.locator("#clear")).to_be_hidden()
    page.keyboard.press("/")
    page.keyboard.type("mlp")
    page.locator("#verdicts").select_option("off")
    assert shown(page) == "2 of 148 shown"
    page.locator("#filter").fill("")
    assert shown(page) == "3 of 148 shown"
    page.locator("#dtypes").select_option("bfloat16")
    assert shown(page) == "0 of 148 shown"
    page.locator("#verdicts").select_option("unjudged")
    assert column(page, "name") == ["transformer.wpe.weight"]
    page.locator("#clear").click()
    expect(page.locator("#shown")).to_have_text("148 shown")


def test_counts_lead_to_the_table(show):
    page = show()
    page.locator(".tile", has_text="with NaN or inf").get_by_role("button").click()
    assert column(page, "name") == ["transformer.h.7.mlp.c_fc.weight"]
    expect(page.locator("#verdicts")).to_be_focused()


def test_the_head_of_the_table_stays_in_sight(show):
    page = show()
    page.locator("#table tbody tr").nth(100).scroll_into_view_if_needed()
    assert page.locator("#table thead th").first.bounding_box()["y"] == pytest.approx(0, abs=1)


def test_a_thousand_tensors_are_filtered_and_sorted(show):
    page = show(descriptions.large)
    assert len(column(page, "name")) == 1000
    page.locator("#filter").fill("*layers.12?.*q_proj*")
    assert shown(page) == "5 of 1,000 shown"
    page.locator("#filter").fill("")
    head(page, "parameters").click()
    head(page, "parameters").click()
    assert column(page, "shape")[0] == f"4096 \N{MULTIPLICATION SIGN} {128 * 97}"


def test_more_rows_than_a_browser_likes_come_when_asked_for(show):
    page = show(many)
    assert (len(column(page, "name")), shown(page)) == (2000, "2,100 shown")
    page.get_by_role("button", name="Show 100 more").click()
    assert len(column(page, "name")) == 2100
    expect(page.locator("#more")).to_be_hidden()


# One tensor


def test_a_row_opens_its_tensor(show):
    page = show()
    page.locator("#table tbody tr").nth(5).locator(".mean").click()
    assert opened(page, column(page, "name")[5])
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_hidden()
    expect(page.locator("#table tbody tr").nth(5).locator("a")).to_be_focused()


def test_a_tensor_opens_by_keyboard(show):
    page = show()
    page.locator("#table tbody a").nth(4).focus()
    page.keyboard.press("Enter")
    assert opened(page, "transformer.h.0.attn.c_attn.weight")
    page.get_by_role("button", name="Next tensor").press("Enter")
    assert opened(page, "transformer.h.0.attn.c_attn.bias")
    page.get_by_role("button", name="Close").press("Enter")
    expect(page.locator("#panel")).to_be_hidden()


def test_next_follows_the_table(show):
    page = show()
    page.locator("#filter").fill("c_proj.weight")
    head(page, "stddev").click()
    head(page, "stddev").click()
    names = column(page, "name")
    assert names[0] == PROJECTION
    page.locator("#table tbody a").first.click()
    expect(page.get_by_role("button", name="Previous tensor")).to_be_disabled()
    for name in names[1:]:
        page.get_by_role("button", name="Next tensor").click()
        assert opened(page, name)
    expect(page.get_by_role("button", name="Next tensor")).to_be_disabled()


def test_an_address_opens_a_tensor_and_back_closes_it(show):
    page = show(where=f"#tensor={PROJECTION}")
    assert opened(page, PROJECTION)
    page.get_by_role("button", name="Close").click()
    page.locator(".problems a").first.click()
    assert opened(page, PROJECTION)
    assert page.url.endswith(f"#tensor={PROJECTION}")
    page.go_back()
    expect(page.locator("#panel")).to_be_hidden()


def test_addresses_of_nothing_open_nothing(show):
    for where in ("#tensor=nothing", "#tensor=%", "#tensor=", "#elsewhere"):
        expect(show(descriptions.unjudged, where=where).locator("#panel")).to_be_hidden()


def test_a_tensor_has_all_its_figures(show):
    page = show(where=f"#tensor={PROJECTION}")
    panel = page.locator("#panel")
    expect(panel.locator(".problems")).to_have_text("stddev is 0.02, expected 0.00408248")
    row = panel.get_by_role("row", name="stddev")
    assert row.get_by_role("cell").all_inner_texts() == ["0.02018577", "0.004082483", "3000"]
    terms = panel.locator("dl").first.locator("dt").all_inner_texts()
    assert {"fan in", "fan out", "skewness", "excess kurtosis", "L2 norm", "NaN"} <= set(terms)
    expect(panel.locator("dl").nth(1).locator("dt")).to_have_count(9)
    expect(panel.locator(".chart .expected")).to_have_count(1)
    expect(panel.locator(".chart .title")).to_have_text(["value", "values per cell"])


def test_a_histogram_is_read_cell_by_cell(show):
    page = show(where=f"#tensor={PROJECTION}")
    page.locator(".holder").focus()
    page.keyboard.press("ArrowRight")
    middle = page.locator(".readout").inner_text()
    assert middle.endswith("expected")
    page.keyboard.press("ArrowRight")
    assert page.locator(".readout").inner_text() != middle
    before = page.locator(".chart .bars").get_attribute("d")
    page.get_by_text("logarithmic counts").click()
    assert page.locator(".chart .bars").get_attribute("d") != before


@pytest.mark.parametrize("name", ["all/bad", "none", "scalar"])
def test_tensors_with_little_to_show_open(show, name):
    page = show(descriptions.unjudged, where=f"#tensor={name}")
    assert opened(page, name)
    assert page.locator(".chart").count() == (name == "scalar")
    assert "NaN" not in page.locator(".chart").all_text_contents()


# The map


def test_the_map_is_walked_by_keys(show):
    page = show()
    page.locator('#map-grid [tabindex="0"]').focus()
    for key in ["ArrowDown"] * 4 + ["ArrowRight"] * 3:
        page.keyboard.press(key)
    expect(page.locator(":focus")).to_have_class("cell off")
    expect(page.locator("#tip")).to_contain_text(f"{PROJECTION}stddev 0.02019, expected 0.004082")
    page.keyboard.press("Enter")
    assert opened(page, PROJECTION)


def test_one_cell_of_the_map_can_be_tabbed_to(show):
    page = show()
    page.keyboard.press("Tab")
    page.locator("#map-grid .cell.off").first.click()
    page.keyboard.press("Escape")
    assert page.locator('#map-grid [tabindex="0"]').count() == 1


def test_the_map_tells_what_is_off_by_more_than_colour(show):
    page = show()
    off = page.locator("#map .cell.off")
    assert off.count() == 3
    assert "off" in off.first.get_attribute("aria-label")
    assert off.first.evaluate("node => getComputedStyle(node).boxShadow") != "none"
    off.first.hover()
    expect(page.locator("#tip")).to_contain_text("4.94\N{MULTIPLICATION SIGN}")


def test_the_map_shows_stddev_by_itself_too(show):
    page = show()
    cell = page.locator("#map-grid .cell").nth(24)
    relative = cell.evaluate("node => getComputedStyle(node).backgroundColor")
    page.locator("#map-mode label", has_text="stddev").last.click()
    assert cell.evaluate("node => getComputedStyle(node).backgroundColor") != relative


def test_names_without_numbers_make_a_list(show):
    page = show(descriptions.unjudged)
    expect(page.locator("#map h3")).to_have_text("Every tensor")
    assert page.locator("#map-rest .cell").count() == 5
    page.locator("#map-rest .cell").nth(1).click()
    assert opened(page, "conv/bias")


# How it looks


def test_it_is_as_dark_as_the_system_until_the_switch_is_used(show):
    for scheme, other in (("light", "dark"), ("dark", "light")):
        page = show(color_scheme=scheme)
        backgrounds = []
        for _ in range(2):
            colour = "getComputedStyle(document.documentElement).backgroundColor"
            backgrounds.append(page.evaluate(colour))
            page.get_by_role("button", name=other.title(), exact=True).click()
            scheme, other = other, scheme
        assert (
            backgrounds
            == {
                "light": ["rgb(248, 248, 246)", "rgb(18, 19, 22)"],
                "dark": ["rgb(18, 19, 22)", "rgb(248, 248, 246)"],
            }[scheme]
        )


# The least contrast of any text that is seen, by WCAG 2.2, and what text it is.
CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const over = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || node.closest(":disabled, script, option")) continue;
    if (!node.checkVisibility({ visibilityProperty: true })) continue;
    const style = getComputedStyle(node);
    const behind = [];
    for (let at = node; at; at = at.parentElement) {
      behind.unshift(getComputedStyle(at).backgroundColor);
    }
    const [text, back] = [[...behind, node.closest("svg") ? style.fill : style.color], behind]
      .map(colours => luminance(over(colours)));
    const ratio = (Math.max(text, back) + 0.05) / (Math.min(text, back) + 0.05);
    found.push([ratio, walker.currentNode.data]);
  }
  return [found.length, found.sort((a, b) => a[0] - b[0])[0]];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("where", ["", f"#tensor={PROJECTION}"])
def test_text_has_contrast(show, scheme, where):
    page = show(color_scheme=scheme, where=where)
    texts, (least, text) = page.evaluate(CONTRAST)
    assert texts > 1000
    assert least >= 4.5, text


@pytest.mark.parametrize("size", PHONES, ids=str)
@pytest.mark.parametrize("make", MAKERS)
def test_a_phone_scrolls_one_way_only(show, make, size):
    page = show(make, size=size)
    width = "[document.documentElement.scrollWidth, innerWidth]"
    needed, there = page.evaluate(width)
    assert needed <= there == size["width"]
    for link in page.locator("#table tbody a").all()[:1]:
        link.click()
        inside = "node => node.scrollWidth - node.clientWidth"
        assert page.locator("#panel").evaluate(inside) <= 0


def test_a_phone_can_sort(show):
    page = show(size=PHONES[0])
    head(page, "max").click()
    largest = figures(page, "max")
    assert largest == sorted(largest)


def test_paper_shows_the_table_and_no_controls(show):
    page = show(color_scheme="dark")
    page.emulate_media(media="print")
    expect(page.locator("#filters")).to_be_hidden()
    expect(page.locator("#theme")).to_be_hidden()
    expect(page.locator("#table tbody tr").last).to_be_visible()
    colour = "getComputedStyle(document.documentElement).backgroundColor"
    assert page.evaluate(colour) == "rgb(255, 255, 255)"


def test_without_scripts_the_verdict_is_read(show):
    page = show(java_script_enabled=False)
    expect(page.locator("#verdict-title")).to_have_text(
        "3 of 148 tensors are not what their initializers promise."
    )
    # Playwright holds what is in a noscript to be hidden, wherever it is drawn.
    assert page.locator("noscript").evaluate("node => node.getBoundingClientRect().height") > 20
    expect(page.locator("#table")).to_be_hidden()


# Names that nobody would choose


def test_names_are_shown_as_they_are_and_never_run(show):
    page = show(descriptions.nasty)
    names = [name.replace("\udcff", "\\udcff") for name in descriptions.NASTY]
    texts = page.locator("#table tbody th").all_text_contents()
    assert texts[:-1] == names[:-1]
    for index, name in enumerate(names):
        page.locator("#table tbody tr").nth(index).locator(".dtype").click()
        assert opened(page, name)
        page.keyboard.press("Escape")
    assert page.locator("img").count() == 0


def test_a_long_name_is_whole_where_its_tensor_is_open(show):
    page = show(descriptions.nasty)
    page.locator("#table tbody a").last.click()
    assert opened(page, descriptions.NASTY[-1])


def test_nasty_names_can_be_filtered_for(show):
    page = show(descriptions.nasty)
    # A field for text has no line breaks.
    for name in [name for name in descriptions.NASTY if not {"\udcff", "\n"} & {*name}]:
        page.locator("#filter").fill(name)
        assert shown(page) != "0 of 17 shown", name


def test_a_script_that_got_in_would_not_run(chromium, written):
    page = chromium.new_context().new_page()
    page.goto(written(descriptions.empty))
    program = "() => { document.body.innerHTML = '<img src=x onerror=alert(1)>' }"
    with pytest.raises(Error, match="TrustedHTML"):
        page.evaluate(program)
    page.context.close()
