"""References of params.yaml that resolve, to something of the wrong kind."""

from collections.abc import Iterator, Mapping

from distill.params.annotators import ANNOTATED
from distill.params.ensembles import EnsembleSettings
from distill.params.given import COMPRESSED, OF_TOKENS, GivenSettings
from distill.params.students import StudentSettings
from distill.params.targets import TargetSettings
from distill.params.task_specs import NOT_REWORDED, PER_ROW, REWORDED, TASK_SPECS
from distill.pipeline.entries import Params

AnySet = TargetSettings | GivenSettings | EnsembleSettings


def misfits(params: Params) -> Iterator[str]:
    """References that resolve, to something of the wrong kind."""
    sets: dict[str, AnySet] = {**params.targets, **params.given, **params.ensembles}
    yield from _augmentations(params)
    yield from _not_annotated(params)
    yield from _teachers(params)
    yield from _target_sets(params)
    for name, given in params.given.items():
        if line := _wrong_answers(params, given):
            yield f"given.{name}.{line}"
    for name, ensemble in params.ensembles.items():
        yield from _wrong_members(params, name, ensemble, sets)
    for name, student in params.students.items():
        yield from _wrong_rows(params, name, student)
        if line := _wrong_recipe(params, student):
            yield f"students.{name}.recipe: {line}"
        if (
            TASK_SPECS[params.task(student.dataset)].numbers
            and not student.of_groups
            and "temperature" in student.model_fields_set
        ):
            soft = f"softens distributions, soft targets of {params.task(student.dataset)} are numbers, learnt by squared error"
            yield f"students.{name}.temperature: {soft}; remove it"
        longest = params.datasets[params.origin(student.dataset)].max_length
        if longest > (most := student.init.positions or longest):
            what = f"takes {most} tokens, the max_length of '{student.dataset}' is {longest}"
            yield f"students.{name}.init.architecture: {what}; set max_position_embeddings: {longest}"
        if line := _only_in_part(params, student):
            yield f"students.{name}.{line}"
        if line := _wrong_targets(params, student, sets[student.target_set].dataset):
            yield f"students.{name}.targets: {line}"


def _augmentations(params: Params) -> Iterator[str]:
    """Copies that cannot be made of these rows."""
    for name, augmentation in params.augmentations.items():
        task = params.task(augmentation.of)
        if task not in REWORDED:
            expected = f"expected one of: {', '.join(REWORDED)}; {NOT_REWORDED[task]}"
            yield f"augmentations.{name}.of: '{augmentation.of}' is for {task}, {expected}"


def _teachers(params: Params) -> Iterator[str]:
    """Further teachers that would tell nothing more."""
    for name, teacher in params.teachers.items():
        embeds = TASK_SPECS[params.task(teacher.dataset)].embeds
        if embeds and teacher.epochs:
            yield f"teachers.{name}.epochs: '{teacher.dataset}' is for sentence-embedding, which has no labels; set epochs: 0"
        if teacher.pooling is not None and not embeds:
            yield f"teachers.{name}.pooling: is of sentence-embedding, '{teacher.dataset}' is for another task; remove it"
        further = "folds" if teacher.folds is not None else "seeds" if teacher.seeds else None
        task = params.task(teacher.dataset)
        if further and TASK_SPECS[task].vocabulary:
            why = f"'{teacher.dataset}' is for {task}, which has no labels to learn by heart"
            yield f"teachers.{name}.{further}: {why}; remove {further}"
        if teacher.folds and TASK_SPECS[task].labels_per_token and teacher.dataset in params.augmentations:
            own = (
                f"copies of a row, which have its tags, are in other folds than the row; take '{params.origin(teacher.dataset)}'"
            )
            yield f"teachers.{name}.folds: {own} for the teacher, and '{teacher.dataset}' for its targets"


def _target_sets(params: Params) -> Iterator[str]:
    """Settings of target sets that the task does not have."""
    for name, targets in params.targets.items():
        task = params.task(targets.dataset)
        if line := _another_teacher(params, targets):
            yield f"targets.{name}.teacher: {line}"
        if targets.positions != "masked" and not TASK_SPECS[task].vocabulary:
            yield f"targets.{name}.positions: is of masked-lm, '{targets.dataset}' is for {task}; remove it"
        if targets.logits_as != "replay" and not TASK_SPECS[task].causal:
            yield f"targets.{name}.logits_as: is of causal-lm, '{targets.dataset}' is for {task}; remove it"
        if not TASK_SPECS[task].causal:
            continue
        if targets.positions != "masked":
            yield f"targets.{name}.positions: {task} masks nothing; what is kept is of all tokens that are predicted: remove it"
        if targets.cls:
            yield f"targets.{name}.cls: in '{targets.dataset}' ({task}) a first token has seen nothing but itself; remove it"


def _another_teacher(params: Params, targets: TargetSettings) -> str | None:
    """Why a teacher has no answers about a data set, told from what both are for; any encoder gives vectors."""
    trained = params.teachers[targets.teacher].dataset
    own, read = (params.datasets[params.origin(name)] for name in (trained, targets.dataset))
    if own.task != read.task and not TASK_SPECS[read.task].embeds:
        return f"'{targets.teacher}' is a teacher of {own.task}, '{targets.dataset}' is for {read.task}; take a teacher of that"
    lengths = [(each.max_length, each.stride) for each in (own, read)]
    if params.teachers[targets.teacher].folds and lengths[0] != lengths[1]:
        return (
            f"'{targets.teacher}' has folds of the rows of '{trained}', cut at {own.max_length} tokens, '{targets.dataset}' "
            f"cuts them at {read.max_length}: rows that it cuts otherwise are in no fold, and teachers that saw their labels "
            "would answer; give both one max_length and stride, or remove folds"
        )
    if own.order and read.order and own.order != read.order:
        return (
            f"the labels of '{trained}', which '{targets.teacher}' learns, are {list(own.order)}, those of "
            f"'{targets.dataset}' {list(read.order)}; give both the same, in one order"
        )
    return None


def _wrong_members(params: Params, name: str, ensemble: EnsembleSettings, sets: Mapping[str, AnySet]) -> Iterator[str]:
    """Sets whose logits have no mean."""
    task = params.task(ensemble.dataset)
    if TASK_SPECS[task].vocabulary:
        yield f"ensembles.{name}: '{ensemble.dataset}' is for {task}, whose logits are not kept; take others"
    if TASK_SPECS[task].embeds:
        yield f"ensembles.{name}: '{ensemble.dataset}' is for {task}: vectors of two teachers have no mean; name one of the sets"
    if ensemble.first == ensemble.second:
        yield f"ensembles.{name}.second: '{ensemble.second}' is the first already, the mean would be itself; name another"
    for place in ("first", "second"):
        member = getattr(ensemble, place)
        if sets[member].dataset != ensemble.dataset:
            yield (
                f"ensembles.{name}.{place}: '{member}' was computed on '{sets[member].dataset}', the ensemble is for "
                f"'{ensemble.dataset}'; compute the targets of both teachers on one data set"
            )


def _wrong_answers(params: Params, given: GivenSettings) -> str | None:
    """Why a table cannot answer for a data set, told from its task alone."""
    task, form, key = params.task(given.dataset), given.columns.form, given.columns.key
    spec, annotated = TASK_SPECS[task], _annotated_forms(params, given)
    if annotated and form not in annotated:
        return f"columns.{form}: {given.table} has {' or '.join(annotated)}; give that"
    if form in OF_TOKENS or spec.causal:
        return _wrong_tokens(params, given)
    if spec.not_given is not None:
        return f"dataset: '{given.dataset}' is for {task}: {spec.not_given}; let a teacher compute its targets"
    if (form == "embedding") != spec.embeds:
        takes = "embedding, a list of numbers a text" if spec.embeds else "answers about labels"
        return f"columns.{form}: {task} takes {takes}; give that"
    if (form == "score" and not spec.numbers) or (spec.numbers and form not in ("score", "logits")):
        return f"columns.{form}: {task} takes {'score' if spec.numbers else 'probabilities, votes or labels'}; give that"
    if spec.numbers and given.temperature != 1:
        return "temperature: is of labels, the answers are scores; remove it"
    if (key == "tokens" and "tokens" not in spec.columns) or (key == "text" and not spec.texts):
        return f"columns.{key}: rows of {task} have {'text' if key == 'tokens' else 'tokens'}; give that, or id"
    if spec.labels_per_token and isinstance(getattr(given.columns, form), dict):
        return f"columns.{form}: {task} has an answer a token; name one column of lists"
    pairs = spec.groups or (params.datasets[params.origin(given.dataset)].columns.text_pair is not None and spec.pairs)
    if key == "text" and pairs != (given.columns.text_pair is not None):
        return f"columns.text_pair: rows of '{given.dataset}' are {'pairs; give it' if pairs else 'single texts; remove it'}"
    return None


def _annotated_forms(params: Params, given: GivenSettings) -> tuple[str, ...]:
    """The forms of answers that an annotator's table may have; none of other tables."""
    if "/annotations/" not in given.table:
        return ()
    annotator = params.annotators[given.table.split("/")[2]]
    several = params.task(params.rows_dataset(annotator.rows)) == "multi-label"
    return ("log_probabilities", "votes") if annotator.log_probabilities and not several else ("votes",)


def _wrong_tokens(params: Params, given: GivenSettings) -> str | None:
    """Why a table of likeliest tokens cannot be put beside a data set, and a data set of a decoder takes no other table."""
    task, form = params.task(given.dataset), given.columns.form
    columns = params.datasets[params.origin(given.dataset)].columns
    if not TASK_SPECS[task].causal:
        rows = "conversations" if form == "logprobs" else "tokenized rows"
        return f"columns.{form}: are of {rows} of causal-lm, '{given.dataset}' is for {task}; give answers about labels"
    if form not in OF_TOKENS:
        takes = "takes logprobs of responses" if columns.input_ids is None else f"takes {COMPRESSED} of such rows"
        return f"columns.{form}: {task} {takes}; give these, or let a teacher compute its targets"
    if form == COMPRESSED:
        if columns.input_ids is None:
            return f"dataset: the rows of '{given.dataset}' are not those of the table; give them by columns.input_ids there"
        return None
    if columns.input_ids is not None:
        return f"columns.logprobs: are of conversations, the rows of '{given.dataset}' are tokens; give {COMPRESSED}"
    if columns.messages is None and columns.prompt is None:
        return f"dataset: the rows of '{given.dataset}' are blocks of texts, which no server answers; take conversations"
    if given.columns.key != "id" or columns.id is None:
        return f"columns.id: answers are found by the rows' own ids; give it here, and columns.id of datasets.{given.dataset}"
    return None


def _not_annotated(params: Params) -> Iterator[str]:
    """Rows that a language model cannot label, or that a student cannot choose among."""
    for section, entries in (("annotators", params.annotators), ("selections", params.selections)):
        for name, entry in entries.items():
            dataset = params.rows_dataset(entry.rows)
            task, student = params.task(dataset), getattr(entry, "student", None)
            if task not in ANNOTATED:
                yield f"{section}.{name}.rows: '{dataset}' is for {task}, expected {' or '.join(ANNOTATED)}; take others"
            elif section == "annotators" and "/selections/" in entry.rows and getattr(entry, "splits", ()) != ("train",):
                yield f"annotators.{name}.splits: '{entry.rows}' has training rows alone; remove it"
            elif student and not params.students[student].trains_head:
                recipe = params.students[student].recipe
                yield f"selections.{name}.student: '{student}' answers nothing: {recipe} here trains no head; take one that does"
            elif student and (reads := params.students[student].dataset) != dataset:
                yield f"{section}.{name}.student: '{student}' reads '{reads}', the rows are '{dataset}'; take a student of these"


def _wrong_rows(params: Params, name: str, student: StudentSettings) -> Iterator[str]:
    """Weights and choices of training rows that a student cannot make."""
    spec = TASK_SPECS[params.task(student.dataset)]
    if student.sample_weight is not None and (line := student.no_weights(spec, learns_labels=bool(student.label_weight))):
        yield f"students.{name}.sample_weight: {line}"
    logits = not student.only_intermediate and (student.reads_hidden or student.needs(1, 1).logits)
    if student.hardest_of > 1 and (line := student.no_hardest(spec, reads_logits=logits)):
        yield f"students.{name}.hardest_of: {line}"


def _only_in_part(params: Params, student: StudentSettings) -> str | None:
    """Why a recipe cannot learn from a part of the teacher's distributions, if that is all that its target set keeps."""
    if (given := params.given.get(student.target_set)) is not None:
        why = student.not_in_part() if given.columns.form in OF_TOKENS else None
        return why and f"{why}: given.{student.target_set} has the likeliest tokens alone"
    targets = params.targets.get(student.target_set)
    if targets is None or targets.logits_as == "replay" or not (why := student.not_in_part()):
        return None
    return f"{why}, or logits_as: replay of targets.{student.target_set}, which keeps {targets.logits_as}"


def _wrong_recipe(params: Params, student: StudentSettings) -> str | None:
    """Why a recipe cannot learn a task: vectors of texts, groups of passages and decoders have recipes of their own."""
    task = params.task(student.dataset)
    if student.tasks and task not in student.tasks:
        return f"{student.recipe} is for {', '.join(student.tasks)}, '{student.dataset}' is for {task}; take another recipe"
    if student.reads_first_token and TASK_SPECS[task].causal:
        return f"{student.recipe} compares first tokens, which in {task} have seen nothing but themselves; take another"
    if student.of_groups and not TASK_SPECS[task].groups:
        return f"{student.recipe} compares passages of a query, '{student.dataset}' is for {task}; take another, such as hinton"
    if student.init.bi_encoder and not TASK_SPECS[task].groups:
        return f"init.bi_encoder is of ranking, '{student.dataset}' is for {task}; remove it"
    if student.init.bi_encoder and (reason := student.no_bi_encoder(reads_states=student.reads_hidden)):
        return reason
    if student.of_vectors and not TASK_SPECS[task].embeds:
        return f"{student.recipe} learns vectors, '{student.dataset}' is for {task}; take a recipe of logits, such as hinton"
    if TASK_SPECS[task].embeds and student.trains_head and not student.of_vectors:
        return (
            f"{student.recipe} learns labels or logits, '{student.dataset}' is for {task}, which has vectors; take "
            "cosine, embedding_mse, similarity_kl or leaf"
        )
    return None


def _wrong_targets(params: Params, student: StudentSettings, dataset: str) -> str | None:
    """Why a target set of a data set cannot feed a student, whatever layers it keeps (needs.py looks at those)."""
    target_set, recipe, task = student.target_set, student.recipe, params.task(student.dataset)
    if student.dataset != dataset and params.datasets[params.origin(student.dataset)].teacher_tokenizer is None:
        again = (
            f"or, if '{student.dataset}' has the same rows for another tokenizer, give it teacher_tokenizer: that of '{dataset}'"
        )
        return (
            f"'{target_set}' was computed on '{dataset}', the student learns on '{student.dataset}'; make them the same"
            f"{f', {again}' if task in PER_ROW and not student.reads_hidden else ''}"
        )
    if student.dataset != dataset and (line := _other_rows(params, student, dataset)):
        return line
    if student.dataset != dataset and (student.reads_hidden or task not in PER_ROW):
        what = "hidden states" if student.reads_hidden else f"logits of {task}"
        return (
            f"{recipe} reads {what}, a vector a token, and the tokens of '{student.dataset}' are not those of '{dataset}'; take "
            "a student with the teacher's tokenizer, or a recipe that reads logits of whole rows alone"
        )
    if student.reads_hidden and target_set in params.given:
        return (
            f"{recipe} reads hidden states, '{target_set}' was given, as answers alone; take a recipe of logits, such as hinton"
        )
    if student.reads_hidden and target_set in params.ensembles:
        return f"{recipe} reads hidden states, '{target_set}' is an ensemble, of logits alone; name one of its sets"
    if student.targets != target_set and TASK_SPECS[task].vocabulary:
        return f"logits of {task} are replayed, '{student.targets}' lacks what they are replayed from; write {target_set}"
    if student.targets != target_set and student.reads_hidden:
        return f"{recipe} reads hidden states, '{student.targets}' is logits alone; write {target_set}"
    return None


def _other_rows(params: Params, student: StudentSettings, dataset: str) -> str | None:
    """Why a data set for another tokenizer has not the rows of that of the targets, or asks another question about them."""
    own, answered = params.task(student.dataset), params.task(dataset)
    if own != answered:
        return f"'{student.target_set}' answers for {answered}, '{student.dataset}' is for {own}; take targets of that task"
    copied = [name for name in (student.dataset, dataset) if name in params.augmentations]
    if len(copied) == 1:
        others = dataset if copied == [student.dataset] else student.dataset
        return f"'{copied[0]}' has reworded copies, '{others}' has none; reword both or none"
    return None
