"""data/metrics/, data/runs/, data/evaluations/, data/audits/ → data/report/"""

from pathlib import Path

from distill.console import PARAMS, command, say
from distill.files import whole_folder


@command
def main() -> None:
    """Write data/report/: index.html, a page that needs no network, and results.md, its main tables."""
    from distill.params.whole import load_params
    from distill.report.answer import answer
    from distill.report.gathering import gather
    from distill.report.page import write_page
    from distill.report.published import presets

    params, data = load_params(PARAMS), Path("data")
    content = gather(params, data)
    with whole_folder(Path("data/report")) as folder:
        write_page(content, folder, answer(params, data), presets(data))
    say(f"report: {Path('data/report/index.html').absolute()}")


if __name__ == "__main__":
    main()
