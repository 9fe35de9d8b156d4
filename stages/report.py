"""data/jobs/report.json, data/metrics/, data/runs/, data/evaluations/, data/audits/ → data/report/"""

from pathlib import Path

from distill.core.console import command, print_result
from distill.core.files import atomic_folder


@command
def main() -> None:
    """Write data/report/: index.html, a page that needs no network, and results.md, its main tables."""
    from distill.params.resolved import Resolved, read_job
    from distill.report.budget_explorer import answer
    from distill.report.gather import gather
    from distill.report.page import write_page
    from distill.report.sections.published import presets

    params, data = read_job(Resolved, Path("data/jobs/report.json")), Path("data")
    content = gather(params, data)
    with atomic_folder(Path("data/report")) as folder:
        write_page(content, folder, answer(params, data), presets(data))
    print_result(f"report: {Path('data/report/index.html').absolute()}")


if __name__ == "__main__":
    main()
