"""`make benchmark-presets`: the published small models side by side, random weights, no data; minutes.

Speed does not depend on what weights say. All are timed against BERT-base in one run: torch fp32, ONNX fp32 and ONNX INT8, one
row of 128 tokens. Exports are kept in data/.scratch/presets, so that a second run begins with the timing.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from distill.core.console import command, print_result
from distill.core.files import SCRATCH, atomic_folder, to_json, write_text
from distill.report.sections import published
from distill.report.sections.published import INT8, ONNX, TORCH
from tests.benchmarks.harness import Figure
from tests.benchmarks.quality.tables import table as markdown

OUT = Path("data/metrics")
VOCABULARY, LENGTH, REFERENCE = 30_522, 128, "bert-base"
PUBLISHED = {known.preset: known for known in published.PUBLISHED if known.preset is not None}
GOALS = {"distilbert": 1.6, "tinybert-4": 9.4}
"""Of torch fp32, times BERT-base."""
INT8_GOAL = 2.0
"""INT8 in ONNX, times the same model in torch fp32."""
MEGABYTES = {"bert-base": 120, "distilbert": 70, "tinybert-4": 16, "mobilebert": 30}
"""INT8 files, at most."""
COLUMNS, GOAL_COLUMNS = ("torch fp32", "ONNX fp32", "ONNX INT8"), ("goal", "", "measured", "met")
WHY = (
    "Published figures are of other hardware and libraries, which weigh a model's parts differently: on a CPU, one row at a "
    "time, the number of operations counts less than how many operators they are cut into and how narrow their matrices are."
)


@command
@click.option("--seconds", type=click.FloatRange(min=0), default=120.0, show_default=True, help="Of timing, at least.")
@click.option("--threads", type=click.IntRange(min=1), help="By default as many as torch takes.")
def main(seconds: float, threads: int | None) -> None:
    """Measure the presets, print a table, write data/metrics/presets.json and presets.md."""
    import torch

    from distill.params.inits import PRESETS

    shapes = {name: PRESETS[name] for name in (REFERENCE, *PUBLISHED)}
    content = measure(shapes, SCRATCH / "presets", seconds, threads or torch.get_num_threads())
    write_text(OUT / "presets.json", to_json(content))
    text = table(content)
    write_text(OUT / "presets.md", text)
    click.echo(text, nl=False)


def measure(shapes: Mapping[str, Mapping[str, Any]], scratch: Path, seconds: float, threads: int) -> dict[str, Any]:
    """Sizes and times of models of these shapes, the first of which is the reference."""
    import torch

    from distill.benchmark.machine import Meter, describe
    from distill.benchmark.runners import flops, random_rows, torch_runner
    from distill.benchmark.statistics import latency, speedup
    from distill.benchmark.timing import Arm, Duration, interleave
    from distill.export.session import open_session

    torch.set_num_threads(threads)
    batch, arms, models = random_rows(VOCABULARY, LENGTH), {}, {}
    for name, shape in shapes.items():
        model = random_model(shape)
        files = exported(name, model, scratch)
        models[name] = {
            "parameters": model.base_model.num_parameters(),
            "flops": flops(model, LENGTH),
            "bytes": {form: path.stat().st_size for form, path in files.items()},
        }
        arms[name, TORCH] = Arm(batch, torch_runner(model))
        arms |= {(name, form): Arm(batch, open_session(path, threads)) for form, path in files.items()}
    times = interleave(arms, Duration(seconds), "presets", Meter.find())
    reference = times[next(iter(shapes)), TORCH].seconds
    for name, own in models.items():
        own["formats"] = {
            form: {
                **latency(times[name, form].seconds),
                "over_reference": speedup(reference, times[name, form].seconds),
                "over_torch": speedup(times[name, TORCH].seconds, times[name, form].seconds),
            }
            for form in (TORCH, ONNX, INT8)
        }
    content = {"machine": describe(threads), "length": LENGTH, "models": models}
    reached = {name: {"value": own.value, "goal": own.goal, "met": own.met} for name, own in goals(models).items()}
    return {**content, "goals": reached}


def random_model(shape: Mapping[str, Any]) -> Any:
    """A classifier of two classes."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = AutoConfig.for_model(**{"vocab_size": VOCABULARY, "num_labels": 2, **shape})
        return AutoModelForSequenceClassification.from_config(config).eval()


def exported(name: str, model: Any, scratch: Path) -> dict[str, Path]:
    """The ONNX files of a model, made unless they are there."""
    from distill.export import session as sessions
    from distill.export.onnx_graph import export_model
    from distill.export.quantize import quantize

    folder = scratch / name
    if not folder.is_dir():
        print_result(f"exporting {name}")
        with atomic_folder(folder, scratch) as new:
            export_model(model, new / sessions.FP32)
            quantize(new / sessions.FP32, new / sessions.INT8)
    return {ONNX: folder / sessions.FP32, INT8: folder / sessions.INT8}


def goals(models: Mapping[str, Mapping[str, Any]]) -> dict[str, Figure]:
    """What was aimed at, and whether it is reached."""
    found = {}
    for name, own in models.items():
        if name in GOALS:
            speed = own["formats"][TORCH]["over_reference"]["speedup"]
            found[f"{name}: times {REFERENCE}, torch fp32"] = Figure(speed, f">= {GOALS[name]:g}")
        gain = own["formats"][INT8]["over_torch"]["speedup"]
        found[f"{name}: INT8 over torch fp32"] = Figure(gain, f">= {INT8_GOAL:g}")
        if name in MEGABYTES:
            found[f"{name}: MB of the INT8 file"] = Figure(own["bytes"][INT8] / 1e6, f"<= {MEGABYTES[name]}")
    return found


def table(content: Mapping[str, Any]) -> str:
    """Markdown: a row a model, the goals, and why figures differ from the papers'."""
    machine, models = content["machine"], content["models"]
    first = next(iter(models.values()))
    head, rows = ("model", "parameters", "FLOPs", "INT8 file", *COLUMNS, "INT8 / torch", "published"), []
    for name, own in models.items():
        speeds = [interval(own["formats"][form]["over_reference"]) for form in (TORCH, ONNX, INT8)]
        known = f"{PUBLISHED[name].faster:g}× ({PUBLISHED[name].where})" if name in PUBLISHED else "1×"
        size, flops = f"{own['bytes'][INT8] / 1e6:.1f} MB", f"{own['flops'] / 1e9:.2f}G (÷ {first['flops'] / own['flops']:.1f})"
        gain = interval(own["formats"][INT8]["over_torch"])
        rows.append((name, f"{own['parameters'] / 1e6:.1f}M", flops, size, *speeds, gain, known))
    aimed = [
        (name, goal["goal"], f"{goal['value']:.2f}", "yes" if goal["met"] else "no") for name, goal in content["goals"].items()
    ]
    versions = ", ".join(f"{name} {machine[name]}" for name in ("torch", "onnxruntime", "transformers"))
    median = first["formats"][TORCH]["p50"]
    about = (
        f"One row of {content['length']} tokens, {machine['threads']} threads of {machine['processor']}, {versions}. Speeds are "
        f"times {REFERENCE} in torch fp32 ({median:.1f} ms) in the same run, with 95% intervals; parameters are of the encoder."
    )
    return "\n\n".join([about, markdown(head, rows, "---"), WHY, markdown(GOAL_COLUMNS, aimed, "---")]) + "\n"


def interval(speed: Mapping[str, float]) -> str:
    """`9.4× (9.1–9.8)`"""
    return f"{speed['speedup']:.2f}× ({speed['speedup_low']:.2f}–{speed['speedup_high']:.2f})"


if __name__ == "__main__":
    main()
