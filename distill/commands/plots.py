"""`python -m distill plots`: what `dvc plots` draws, on a page that needs no network."""

import subprocess
import sys

import click

from distill.core.console import command
from distill.core.files import SCRATCH, write_text

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{refresh_tag}
<title>Plots</title>
<style>body {{ font-family: system-ui, sans-serif; }} body > div {{ display: inline-block; margin: 1em; }}</style>
<script>{vega}</script>
</head>
<body>
{plot_divs}
</body>
</html>
"""
"""Of `dvc plots --html-template`, whose own page loads Vega from the internet."""


@command
@click.argument("revisions", nargs=-1)
def main(revisions: tuple[str, ...]) -> None:
    """Draw training curves, confusion and calibration of all models into dvc_plots/: as they are, or of git REVISIONS."""
    from distill.report.vega import script

    template = SCRATCH / "plots.html"
    write_text(template, PAGE.format(vega=script(), plot_divs="{plot_divs}", refresh_tag="{refresh_tag}"))
    drawn = ["diff", *revisions] if revisions else ["show"]
    sys.exit(subprocess.run([sys.executable, "-m", "dvc", "plots", *drawn, "--html-template", template], check=False).returncode)
