"""data/metrics/, data/runs/ → data/report/"""

from pathlib import Path

from distill.console import PARAMS, command, say
from distill.files import whole_folder


@command
def main() -> None:
    """Write data/report/: index.html, a page that needs no network, and results.md, its tables."""
    from distill.params.whole import load_params
    from distill.report.content import gather
    from distill.report.page import write_page

    content = gather(load_params(PARAMS), Path("data"))
    with whole_folder(Path("data/report")) as folder:
        write_page(content, folder)
    say(f"report: {Path('data/report/index.html').absolute()}")


if __name__ == "__main__":
    main()
