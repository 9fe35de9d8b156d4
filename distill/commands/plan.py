"""`python -m distill plan`: what target sets keep, lack and take on disk, before the teacher runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from distill.core.console import PARAMS, aligned, command

if TYPE_CHECKING:
    from distill.params.annotators import AnnotatorSettings
    from distill.pipeline.entries import Params


@command
@click.argument("names", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(names: tuple[str, ...], as_json: bool) -> None:
    """What the target sets NAMES, by default all, keep, lack and take on disk, and what annotators have still to ask and pay.

    Nothing is computed or asked. Exits with 1 if a student asks for what its target set lacks, and says what to add.
    """
    from distill.core.errors import UserError
    from distill.core.files import to_json
    from distill.pipeline.needs import missing_layers, missing_needs
    from distill.pipeline.project import load_params
    from distill.pipeline.shapes import find_config, require_shape

    params = load_params(PARAMS)
    require_planned(params, names)
    chosen = dict.fromkeys(name for name in names or params.dataset_by_target_set() if name in params.dataset_by_target_set())
    wanted = [name for name in chosen if name in params.targets]
    asking = [name for name in names or params.annotators if name in params.annotators]
    teachers = dict.fromkeys(params.targets[name].teacher for name in wanted)
    configs = {name: find_config(params.teachers[name].checkpoint, Path("data/teachers", name)) for name in teachers}
    shapes = {name: require_shape(config) for name, config in configs.items()}
    problems = missing_layers(params, PARAMS, shapes)
    problems += [line for name in wanted for line in missing_needs(params, name, PARAMS, shapes)]
    from distill.pipeline.plan import plan, plan_given

    plans = {}
    for name in chosen:
        try:
            given = name in params.given
            plans[name] = plan_given(params, name) if given else plan(params, name, shapes, configs[params.targets[name].teacher])
        except UserError as error:
            problems += [] if any(str(error) in line for line in problems) else [str(error)]
    asked = {name: ask_plan(params.annotators[name], f"{PARAMS}: annotators.{name}") for name in asking}
    if as_json:
        click.echo(to_json({"targets": plans, "annotators": asked, "problems": problems}))
    else:
        click.echo("\n\n".join([*map(format_targets, plans, plans.values()), *map(format_annotator, asked, asked.values())]))
    if problems:
        raise UserError("\n".join(problems))


def require_planned(params: "Params", names: tuple[str, ...]) -> None:
    """Refuse names of what costs nothing, and of nothing."""
    from distill.core.errors import UserError
    from distill.core.validation import nearest

    known = [*params.dataset_by_target_set(), *params.annotators]
    for name in names:
        if name in params.ensembles:
            entry = params.ensembles[name]
            raise UserError(f"{PARAMS}: ensembles.{name}: is the mean of stored logits; plan {entry.first} and {entry.second}")
        if name not in known:
            raise UserError(f"{PARAMS}: targets.{name}: no such entry{nearest(name, known)}")


def ask_plan(settings: "AnnotatorSettings", where: str) -> dict[str, Any]:
    """What an annotator has asked and has still to ask; nothing where its rows are not there yet."""
    if not Path(settings.rows).exists():
        return {}
    from distill.annotation.cost import estimate
    from distill.annotation.responses import Responses
    from distill.annotation.work import open_work

    annotator, rows, _ = open_work(settings, Responses(), where)
    return estimate(annotator, [texts for part in rows.values() for texts in part])


def format_annotator(name: str, content: Mapping[str, Any]) -> str:
    """The same, for people."""
    if not content:
        return f"annotators.{name}: its rows are not there yet; run `dvc repro` up to them"
    rows: list[tuple[str, ...]] = [("", "requests", "prompt tokens", "answer tokens", "price")]
    for part in ("used", "left"):
        found = content[part]
        counts = [f"{found[key]:,}" for key in ("requests", "prompt_tokens", "answer_tokens")]
        rows.append((part, *counts, f"{found['price']:.2f}" if "price" in found else "no `prices`"))
    how = "as in the answers so far" if content["measured"] else "a guess: 4 characters a token, until there are answers"
    return "\n".join([f"annotators.{name}: {content['rows']:,} rows", "", *aligned(rows), f"tokens that are left: {how}"])


def format_targets(name: str, content: Mapping[str, Any]) -> str:
    """A target set's plan, for people."""
    if "teacher" not in content:
        return format_given(name, content)
    teacher, dataset, codec = content["teacher"], content["dataset"], content["codec"]
    rows = ", ".join(f"{count:,} {split}" for split, count in dataset["rows"].items())
    lines = [
        f"targets.{name}: teacher {teacher['name']} ({teacher['layers']} layers, {teacher['width']} wide, "
        f"{teacher['heads']} heads), data set {dataset['name']}{f' ({rows} rows, equal ones once)' if rows else ''}",
        *_further(teacher),
        "",
        *aligned([("student", "reads", "lacks"), *_students(content["students"])]),
        "",
        *aligned(_outputs(content["outputs"], tuple(dataset["rows"]))),
        "",
        f"codec {codec['name']}: {codec['bytes_a_value']:.3f} bytes a value of hidden states, of whose variance it loses "
        f"{codec['variance_lost']:g}",
        *_attention(content["attention"], codec["name"]),
        *_distributions(content.get("distributions")),
    ]
    if content["outputs"].get("hidden-00", {}).get("source"):
        lines.append("hidden-00: by the config; the targets stage tries replay on a row, and stores the state if it differs")
    if content["unread"]:
        lines.append(f"no student reads {', '.join(content['unread'])}; targets.{name} could do without")
    if not rows:
        lines.append(f"data/prepared/{dataset['name']} is not there: run `dvc repro {dataset['stage']}` for bytes")
    return "\n".join(lines)


def format_given(name: str, content: Mapping[str, Any]) -> str:
    """A given set's plan."""
    dataset, answered, source = content["dataset"], content["answered"], content["table"]
    lines = [f"given.{name}: table {source}, data set {dataset['name']}"]
    if not dataset["rows"]:
        lines.append(f"data/prepared/{dataset['name']} is not there: run `dvc repro {dataset['stage']}` for rows and bytes")
    elif answered is None:
        lines.append(f"{source} is not there: run `dvc repro` up to it for the rows that it answers")
    else:
        counts = ", ".join(
            f"{answered[split]:,} of {count:,} {split}" for split, count in dataset["rows"].items() if split in answered
        )
        lines.append(f"answers for {counts} rows, equal ones once")
    tables = [aligned([("student", "reads", "lacks"), *_students(content["students"])])]
    tables += [aligned(_outputs(content["outputs"], tuple(dataset["rows"])))]
    return "\n".join([*lines, "", *tables[0], "", *tables[1]])


def _further(teacher: Mapping[str, Any]) -> list[str]:
    """What further teachers cost."""
    if "readers" not in teacher:
        return []
    what, readers = "folds" if "folds" in teacher else "seeds", teacher["readers"]
    asked = f"{readers['unlabelled']} teachers for the logits of a row"
    asked += "; one for a row whose label they were taught" if what == "folds" else ""
    return [f"{what}: {teacher[what]} further teachers, which take {teacher['trainings']} times the teacher's training; {asked}"]


def _students(students: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [
        (name, *((", ".join(found[key]) or "-") for key in ("reads", "lacks"))) if found else (name, "not known", "")
        for name, found in students.items()
    ] or [("none", "", "")]


def _outputs(outputs: Mapping[str, Any], splits: Sequence[str]) -> list[tuple[str, ...]]:
    """What is kept, and its bytes by file or split."""
    from distill.store.output_names import HEADS

    columns = (*splits, HEADS) if splits else ()
    rows = [("output", "codec", "from", *columns, *(["total"] if splits else []))]
    for name, output in outputs.items():
        sizes = output["bytes"] or {}
        cells = [_size(sizes[column]) if column in sizes else "" for column in columns]
        rows.append((name, output["codec"], output["source"] or "", *cells, *([_size(sum(sizes.values()))] if splits else [])))
    if splits:
        sums = [sum(output["bytes"].get(column, 0) for output in outputs.values()) for column in columns]
        rows.append(("total", "", "", *map(_size, sums), _size(sum(sums))))
    return rows


def _attention(attention: Mapping[str, Any], codec: str) -> list[str]:
    """The ways to keep attention, the smallest marked."""
    from distill.targets.disk_size import KL_LOST

    sizes = attention["bytes"]
    if not sizes:
        return []
    rows = [("attention_as", "bytes", "KL (nats)", "")]
    for kind, size in sizes.items():
        lost = "" if kind == "replay" and codec != "int8" else f"{KL_LOST[kind]:.0e}"
        rows.append((kind, _size(size), lost, "smallest" if size == min(sizes.values()) else ""))
    layers = ", ".join(map(str, attention["layers"]))
    note = "replay adds to the time of a training step (`make bench` measures it), stored maps do not"
    return ["", f"what attention of layers {layers} adds to the set:", *aligned(rows), note]


def _distributions(found: Mapping[str, Any] | None) -> list[str]:
    """The ways to keep a decoder's distributions."""
    if found is None:
        return []
    rows = [("a decoder's distributions", "bytes a token", "what students learn")]
    learnt = {
        "replay": "all: any divergence and temperature",
        "top-k": "forward-kl at temperature 1, biased: of the rest its mass alone is known",
        "draws": "forward-kl at temperature 1, right on average, noisy",
    }
    for way, size in found["bytes_a_token"].items():
        rows.append((way, f"{size:,}", learnt[found["kinds"][way]]))
    return ["", *aligned(rows), f"here logits_as is {found['kept']}"]


def _size(count: int) -> str:
    from tqdm import tqdm

    return f"{tqdm.format_sizeof(count)}B" if count else ""
