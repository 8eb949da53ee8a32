"""The pictures of the report and the viewer in README and docs.

Called as `python -m benchmarks.screenshots OUT [--to docs/images] [--target ID]` with the folder of a finished survey;
wants Chromium. Writes `report.png` (map and panel of a target) and `viewer.png` (the same with the buttons for
reviews). Nothing in OUT is changed but its report, which is made anew.
"""

import argparse
import io
import time
from pathlib import Path
from urllib.parse import urlencode

from PIL import Image
from tests.report.browser import CHROMIUM, Browser

from groundshift.report import ReportContent
from groundshift.workflows.serving import serve_survey
from groundshift.workflows.viewing import load_survey, remake_report


def fastest(content: ReportContent) -> str:
    """Return the id of the fastest target that has a series, or else of the fastest."""
    targets = content.targets
    moving = [t for t in targets if any(len(s.dates) for s in content.series.get(t.id, ()))] or targets
    if not moving:
        raise SystemExit("no target to show")
    return max(moving, key=lambda t: abs(t.velocity_los_mm_yr)).id


def picture(browser: Browser, url: str, target: str, path: Path) -> None:
    """Write a picture of the map and the panel of one target."""
    browser.open(
        f"{url}#{urlencode({'target': target})}",
        f"document.getElementById('panel')?.dataset.shown === {target!r}",
    )
    # Until the scrolling and the last drawing are done.
    time.sleep(2)
    shot = Image.open(io.BytesIO(browser.screenshot("#map-section", "#panel"))).convert("RGB")
    # Dithered with 256 colours of its own it looks the same and takes half the bytes.
    colours = shot.quantize(256, method=Image.Quantize.MAXCOVERAGE, kmeans=3)
    shot.quantize(palette=colours, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)
    print(f"{path} {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--to", type=Path, default=Path("docs/images"))
    parser.add_argument("--target", help="its id; by default the fastest with a series")
    given = parser.parse_args()
    if CHROMIUM is None:
        raise SystemExit("no Chromium here; install chromium")
    given.to.mkdir(parents=True, exist_ok=True)
    target = given.target or fastest(load_survey(given.folder))
    page = remake_report(given.folder).resolve().as_uri()
    with Browser() as browser:
        browser.size(1280, 1000)
        picture(browser, page, target, given.to / "report.png")
        with serve_survey(given.folder) as address:
            picture(browser, address, target, given.to / "viewer.png")


if __name__ == "__main__":
    main()
