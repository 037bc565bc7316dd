"""The comparison: honest sizes, a page that needs nothing from outside, and one that works."""

import base64
import io
import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluation_samples import picture
from PIL import Image, PngImagePlugin
from test_evaluation_report import HOSTILE, Balance, assert_runs_only_its_own_script
from typer.testing import CliRunner

from sbtcodec import cli
from sbtcodec.codec.codec import Codec
from sbtcodec.container import unpack
from sbtcodec.errors import ImageError, InvalidFileError, OutputError
from sbtcodec.evaluation.codecs import load_codec
from sbtcodec.evaluation.compare import compare, default_area, largest_within
from sbtcodec.evaluation.compare_page import render_comparison
from sbtcodec.evaluation.data_uris import lossless_uri, original_uri
from sbtcodec.evaluation.page import grouped
from sbtcodec.evaluation.versions import Area


def png(rgb, **options):
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG", **options)
    return buffer.getvalue()


def pixels(uri):
    data = base64.b64decode(uri.split(",")[1])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def page_pictures(page):
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    return {a["id"]: a["src"] for tag, a in parser.seen if tag == "img"}


@pytest.fixture(scope="module")
def sbt(codec, photo):
    return codec.compress(photo, quality=60)


@pytest.fixture(scope="module")
def comparison(codec, photo, sbt):
    baselines = [load_codec(name) for name in ("jpeg", "webp")]
    return compare(photo, sbt, codec, baselines, default_area(227, 151))


@pytest.fixture(scope="module")
def page(comparison, photo):
    return render_comparison(comparison, "<cat>.sbt", "cat.png", png(photo))


def test_the_parts_add_up_to_the_file(comparison, sbt):
    assert sum(part.size for part in comparison.parts) == len(sbt) == comparison.size
    assert len(comparison.parts) == 1 + len(comparison.prefixes)
    assert comparison.whole.size == len(sbt)


def test_the_table_shows_sizes_that_add_up_to_the_file(page, sbt):
    table = page[page.index('id="layers"') : page.index('id="codecs"')]
    cells = re.findall(r"<tr><th[^>]*>([^<]*)</th><td>([^<]*)</td>", table)
    sizes = [int(size.replace("\N{NO-BREAK SPACE}", "")) for _, size in cells]
    assert cells[-1][0] == "file"
    assert sum(sizes[:-1]) == sizes[-1] == len(sbt)


def test_every_prefix_is_what_the_cut_file_decodes_to(comparison, codec, sbt):
    for layers, version in enumerate(comparison.prefixes):
        cut = codec.decode(sbt[: version.size])
        assert cut.layers == layers
        assert np.array_equal(cut.rgb, version.pixels)


def test_other_codecs_take_the_highest_quality_within_the_bytes(comparison, photo, sbt):
    for version in comparison.others:
        other = load_codec(version.key)
        assert version.fits
        assert version.size == len(other.encode(photo, version.quality)) <= len(sbt)
        assert len(other.encode(photo, version.quality + 1)) > len(sbt)


def test_a_codec_that_cannot_be_so_small_shows_its_smallest_and_says_so(codec, photo):
    data = codec.compress(photo, globals_only=True)
    found = compare(photo, data, codec, [load_codec("jpeg")], default_area(227, 151))
    (jpeg,) = found.others
    assert not jpeg.fits
    assert jpeg.size == min(len(load_codec("jpeg").encode(photo, q)) for q in range(1, 10))
    page = render_comparison(found, "a.sbt", "a.png", png(photo))
    assert f"smallest possible, {jpeg.size / len(data):.1f}× the bytes of the .sbt" in page
    assert f"{grouped(jpeg.size)} bytes" in page


def test_the_search_keeps_to_the_bytes_at_any_size(photo):
    jpeg = load_codec("jpeg")
    for size in (3000, 8000, 10**6):
        quality, data = largest_within(jpeg, photo, size)
        assert len(data) <= size
        assert quality == 100 or size < 10**6


def test_the_page_has_no_external_addresses(page):
    text = re.sub(r"data:image/[a-z]+;base64,[A-Za-z0-9+/=]+", "", page)
    assert re.findall(r"https?:|ftp:|[\"'(]//|@import|url\(|fetch\(|XMLHttp", text) == []
    parser = Balance()
    parser.feed(page)
    links = [a[k] for _, a in parser.seen for k in ("src", "href", "action", "srcset") if k in a]
    assert links
    assert all(link.startswith(("#", "data:image/")) for link in links)
    (policy,) = (a["content"] for _, a in parser.seen if "http-equiv" in a)
    assert policy.startswith("default-src 'none'; img-src data:; ")


def test_the_page_holds_every_version_without_loss(page, comparison, photo):
    shown = page_pictures(page)
    versions = (*comparison.prefixes, *comparison.looks, *comparison.others)
    assert list(shown) == ["original", *(version.key for version in versions)]
    assert np.array_equal(pixels(shown["original"]), photo)
    for version in versions:
        assert np.array_equal(pixels(shown[version.key]), version.pixels)
        # two looks have a viewer of their own as well
        viewers = 2 if version in (comparison.prefixes[-1], *comparison.looks) else 1
        assert page.count(f'<option value="{version.key}"') == 2 * viewers


def test_names_in_the_page_are_escaped(page):
    assert "&lt;cat&gt;.sbt" in page
    assert "<cat>" not in page


def test_names_in_the_page_are_text_wherever_they_stand(comparison, photo):
    others = tuple(replace(one, label=HOSTILE, settings=HOSTILE) for one in comparison.others)
    found = replace(comparison, others=others)
    parser = Balance()
    parser.feed(render_comparison(found, HOSTILE, HOSTILE, png(photo)))
    assert parser.open == []
    assert_runs_only_its_own_script(parser)
    assert parser.text_of("title") == [f"{HOSTILE} and its original"]
    assert parser.text_of("h1") == [HOSTILE]
    assert parser.text_of("dd").count(HOSTILE) == 1 + len(others)
    for tag in ("th", "option", "b", "figcaption"):
        assert any(HOSTILE in text for text in parser.text_of(tag)), tag
    for name, text in (("alt", HOSTILE), ("aria-label", f"{HOSTILE}: show in the viewer")):
        assert sum(a.get(name) == text for _, a in parser.seen) == len(others)


def test_an_area_is_cut_but_everything_is_measured(codec, photo, sbt, comparison):
    area = Area(20, 30, 64, 48)
    found = compare(photo, sbt, codec, [], area)
    assert found.whole.psnr == comparison.whole.psnr
    assert found.original.shape == (48, 64, 3)
    assert np.array_equal(found.whole.pixels, comparison.whole.pixels[30:78, 20:84])
    page = render_comparison(found, "a.sbt", "a.png", png(photo))
    assert "a piece of 64 × 48 pixels" in page
    assert "Other codecs" not in page
    assert np.array_equal(pixels(page_pictures(page)["original"]), photo[30:78, 20:84])


def test_only_large_pictures_are_cut_and_at_the_centre():
    assert default_area(2048, 2048) == Area(0, 0, 2048, 2048)
    assert default_area(4000, 1000) == Area(0, 0, 4000, 1000)
    assert default_area(4000, 3000) == Area(976, 476, 2048, 2048)
    assert default_area(9000, 1000) == Area(3476, 0, 2048, 1000)


def test_a_plain_original_stands_in_the_page_as_its_own_file():
    rgb = picture()
    plain = png(rgb)
    assert base64.b64decode(original_uri(plain, rgb).split(",")[1]) == plain
    jpeg = load_codec("jpeg").encode(rgb, 90)
    uri = original_uri(jpeg, load_codec("jpeg").decode(jpeg))
    assert uri.startswith("data:image/jpeg")


def test_an_original_that_tells_of_its_maker_or_shows_otherwise_is_written_anew():
    rgb = picture()
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    gray = io.BytesIO()
    Image.fromarray(rgb).convert("L").save(gray, "PNG")
    tiff = io.BytesIO()
    Image.fromarray(rgb).save(tiff, "TIFF")
    texts = []
    for keyword in (
        "Comment",
        "dpi",
        "background",
        "interlace",
    ):  # some of which Pillow reads itself
        text = PngImagePlugin.PngInfo()
        text.add_text(keyword, "at the lake")
        texts.append(png(rgb, pnginfo=text))
    maker = png(rgb, exif=exif)
    for file in (maker, *texts, png(rgb, icc_profile=b"x"), gray.getvalue(), b"no image"):
        uri = original_uri(file, rgb)
        assert uri == lossless_uri(rgb)
        assert np.array_equal(pixels(uri), rgb)
    assert original_uri(tiff.getvalue(), rgb) == lossless_uri(rgb)
    assert original_uri(png(rgb), rgb[:20]) == lossless_uri(rgb[:20])


@pytest.fixture
def files(tmp_path, monkeypatch, photo, sbt, codec):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Codec, "load", lambda device, **_: codec)
    Path("cat.sbt").write_bytes(sbt)
    Path("cat.png").write_bytes(png(photo))
    return tmp_path


def invoke(*arguments):
    return CliRunner().invoke(cli.app, ["compare", *arguments])


def test_the_command_writes_a_page_beside_the_file_and_tells_in_json(files, sbt):
    result = invoke("cat.png", "cat.sbt", "--against", "jpeg", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    assert told["output"] == "cat.html"
    assert Path("cat.html").stat().st_size == told["page_bytes"]
    assert sum(told["parts"].values()) == told["bytes"] == len(sbt)
    names = [version["name"] for version in told["versions"]]
    assert names == [*(f"sbt-{i}" for i in range(len(told["parts"]) - 1)), "sbt-vivid", "jpeg"]
    assert all(math.isfinite(version["psnr"]) for version in told["versions"])


def test_a_page_is_replaced_only_by_force(files):
    Path("page.html").write_text("mine")
    arguments = ("cat.png", "cat.sbt", "--against", "none", "--out", "page.html")
    refused = invoke(*arguments)
    assert isinstance(refused.exception, OutputError)
    assert Path("page.html").read_text() == "mine"
    assert invoke(*arguments, "--force", "--crop", "0,0,50,40").exit_code == 0
    assert "a piece of 50 × 40 pixels" in Path("page.html").read_text("utf-8")


def test_the_page_cannot_replace_what_it_is_made_from(files):
    for name in ("cat.png", "cat.sbt"):
        refused = invoke("cat.png", "cat.sbt", "--out", name, "--force")
        assert isinstance(refused.exception, OutputError)


def test_an_original_of_another_size_is_refused(files, photo):
    Path("other.png").write_bytes(png(photo[:100]))
    refused = invoke("other.png", "cat.sbt")
    assert isinstance(refused.exception, ImageError)
    assert "227 x 100" in str(refused.exception)
    assert "227 x 151" in str(refused.exception)
    assert not Path("cat.html").exists()


def test_a_file_cut_inside_a_layer_is_refused_by_name(files, sbt):
    Path("cut.sbt").write_bytes(sbt[: len(sbt) // 2])
    refused = invoke("cat.png", "cut.sbt")
    assert isinstance(refused.exception, InvalidFileError)
    assert str(refused.exception).startswith("cut.sbt: ")


@pytest.mark.parametrize(
    "options",
    [
        ("--crop", "1,2,3"),
        ("--crop", "200,0,50,50"),
        ("--crop", "0,0,0,5"),
        ("--against", "gif"),
        ("--against", "sbt"),
    ],
)
def test_wrong_options_are_told_before_any_work(files, options):
    result = invoke("cat.png", "cat.sbt", *options)
    assert result.exit_code == 2
    assert options[1].split(",")[0] in result.output
    assert not Path("cat.html").exists()


# In a browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no Chromium with its chromedriver was found")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (
        "headless",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "window-size=1000,800",
        f"user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    session = webdriver.Chrome(options=options, service=Service(driver))
    session.set_script_timeout(20)
    yield session
    session.quit()


@pytest.fixture
def opened(browser, page, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(page, encoding="utf-8")
    browser.get_log("performance")
    browser.get(path.as_uri())
    browser.execute_async_script(
        "const done = arguments[0];"
        "Promise.all([...document.images].map((image) => image.decode())).then(() => done());"
    )
    return browser


def find(browser, selector):
    return browser.find_element("css selector", selector)


def choose(browser, side, key):
    find(browser, f".viewer-{side} option[value='{key}']").click()


def source(browser, layer):
    return browser.execute_script(
        "const image = document.querySelector(arguments[0]);"
        "return [...document.querySelectorAll('.versions img')]"
        ".find((one) => one.src === image.src).id;",
        f".viewer-{layer} img",
    )


def difference(browser):
    """The pixels of the difference view once it is drawn, uint8 [H, W, 4]."""
    from selenium.webdriver.support.wait import WebDriverWait

    WebDriverWait(browser, 10).until(lambda b: find(b, ".viewer-result").text)
    shape, values = browser.execute_script(
        "const c = document.querySelector('.viewer-delta canvas');"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height);"
        "return [[c.height, c.width, 4], [...d.data]];"
    )
    return np.array(values, np.uint8).reshape(shape)


@pytest.mark.browser
def test_the_page_opens_without_errors_or_requests(opened, comparison):
    messages = [json.loads(entry["message"])["message"] for entry in opened.get_log("performance")]
    requests = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
        and message["params"]["documentURL"] == opened.current_url
    ]
    beyond = [url for url in requests if not url.startswith("data:")]
    assert beyond == [opened.current_url]
    assert opened.get_log("browser") == []
    widths = opened.execute_script("return [...document.images].map((i) => i.naturalWidth)")
    versions = (*comparison.prefixes, *comparison.looks, *comparison.others)
    looks = 2 if comparison.looks else 0  # a viewer of their own
    assert widths == [227] * (2 + 1 + looks + len(versions))


@pytest.mark.browser
def test_the_divider_moves_with_keys_and_pointer(opened):
    from selenium.webdriver import ActionChains, Keys

    handle, over = find(opened, ".viewer-handle"), find(opened, ".viewer-over")

    def state():
        return int(handle.get_attribute("aria-valuenow")), over.value_of_css_property("clip-path")

    value, clip = state()
    assert value == 50
    assert handle.get_attribute("role") == "slider"
    for keys, expected in (
        (Keys.ARROW_LEFT, 49),
        (Keys.ARROW_RIGHT + Keys.ARROW_RIGHT, 51),
        (Keys.PAGE_UP, 61),
        (Keys.END, 100),
        (Keys.HOME, 0),
    ):
        before = clip
        handle.send_keys(keys)
        value, clip = state()
        assert value == expected
        assert clip != before
    text = handle.get_attribute("aria-valuetext")
    assert "original" in text
    assert "whole file" in text
    stage = find(opened, ".viewer-stage")
    ActionChains(opened).move_to_element_with_offset(
        stage, round(stage.size["width"] * 0.25), 0
    ).click().perform()
    assert abs(state()[0] - 75) <= 1


@pytest.mark.browser
def test_the_divider_can_be_reached_with_tab_and_shows_the_focus(opened):
    from selenium.webdriver import ActionChains, Keys

    active = "return document.activeElement.className"
    for _ in range(12):
        ActionChains(opened).send_keys(Keys.TAB).perform()
        if opened.execute_script(active) == "viewer-handle":
            break
    assert opened.execute_script(active) == "viewer-handle"
    outline = "return getComputedStyle(document.activeElement, '::after').outlineStyle"
    assert opened.execute_script(outline) == "solid"


@pytest.mark.browser
def test_choosing_versions_changes_the_pictures(opened, sbt):
    whole = f"sbt-{unpack(sbt).header.detail_layers}"
    assert (source(opened, "over"), source(opened, "under")) == ("original", whole)
    choose(opened, "left", "sbt-0")
    choose(opened, "right", "jpeg")
    assert (source(opened, "over"), source(opened, "under")) == ("sbt-0", "jpeg")
    assert "globals only" in find(opened, ".viewer-caption-left").text
    find(opened, ".viewer-swap").click()
    assert (source(opened, "over"), source(opened, "under")) == ("jpeg", "sbt-0")
    find(opened, "button[data-choose='webp']").click()
    assert source(opened, "under") == "webp"


@pytest.mark.browser
def test_keys_and_buttons_zoom_and_dragging_pans(opened):
    from selenium.webdriver import ActionChains, Keys

    stage, shown = find(opened, ".viewer-stage"), find(opened, ".viewer-under img")

    def width():
        return float(shown.value_of_css_property("width").removesuffix("px"))

    def zoom():
        return find(opened, ".viewer-zoom input:checked").get_attribute("value")

    assert zoom() == "fit"
    assert width() == pytest.approx(stage.size["width"], abs=1)
    find(opened, ".viewer-zoom input[value='1']").click()
    assert width() == 227
    assert shown.value_of_css_property("image-rendering") == "auto"
    stage.send_keys("+")
    assert (zoom(), width()) == ("2", 454)
    assert shown.value_of_css_property("image-rendering") == "pixelated"
    stage.send_keys("+")
    assert (zoom(), width()) == ("4", 908)
    before = shown.value_of_css_property("transform")
    ActionChains(opened).move_to_element_with_offset(
        stage, -100, 20
    ).click_and_hold().move_by_offset(30, 20).release().perform()
    dragged = shown.value_of_css_property("transform")
    assert dragged != before
    assert dragged == find(opened, ".viewer-over img").value_of_css_property("transform")
    stage.send_keys(Keys.ARROW_RIGHT)
    assert shown.value_of_css_property("transform") != dragged
    stage.send_keys("-")
    assert width() == 454
    stage.send_keys("0")
    assert zoom() == "fit"


@pytest.mark.browser
def test_the_difference_is_black_only_for_equal_pictures(opened, comparison, photo):
    find(opened, ".viewer-difference").click()
    shown = difference(opened)
    distance = np.abs(photo.astype(int) - comparison.whole.pixels)
    assert np.array_equal(shown[..., :3], np.minimum(4 * distance, 255))
    assert not find(opened, ".viewer-handle").is_displayed()
    choose(opened, "right", "original")
    shown = difference(opened)
    assert shown[..., :3].max() == 0
    assert (shown[..., 3] == 255).all()
    assert "No difference" in find(opened, ".viewer-result").text
