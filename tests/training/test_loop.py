"""The loop: the backends agree, a fold's result is its own, and it is that of a plain PyTorch loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from limbeck.augment import Augmentation
from limbeck.distillation import Batch, Feedback, Loss, Said
from limbeck.distillation.functional import hard_target
from limbeck.errors import DataError, LimbeckError
from limbeck.models import Dropout, InputShape
from limbeck.protocols import Fold
from limbeck.training import Ensemble, Member, Settings, Sights, Taught, Trained, draws, loop
from limbeck.training.loop import class_weights, predict, steps_per_epoch
from limbeck.training.optimiser import AdamW

BACKENDS = ("stacked", "looped")
every_backend = pytest.mark.parametrize("backend", BACKENDS)


def assert_same_states(
    found: Sequence[dict[str, Tensor]], expected: Sequence[dict[str, Tensor]], **tolerance: float
) -> None:
    torch.testing.assert_close(list(found), list(expected), **(tolerance or {"rtol": 1e-5, "atol": 1e-5}))


def largest_move(problem: Any, trained: Trained) -> float:
    """How far training has moved the weights: what agreement has to be measured against."""
    start = problem.ensemble("looped")
    names = [f"network.{name}" for name, _ in problem.build().network.named_parameters()]
    return max(
        float((state[name] - start.state_of(position)[name]).abs().max())
        for position, state in enumerate(trained.states)
        for name in names
    )


def rows(trained: Trained, member: Member, split: str) -> list[dict[str, Any]]:
    return [
        row
        for row in trained.history
        if (row["repetition"], row["fold"], row["seed"], row["split"])
        == (member.fold.repetition, member.fold.fold, member.seed, split)
    ]


# ---- the backends agree ----------------------------------------------------------------------------------------------


def varied(name: str, problem: Any, taught_problem: Any, trace_problem: Any) -> Any:
    """Return the trainings on which the backends are compared."""
    long = Settings(epochs=12, batch=16, learning_rate=2e-2, patience=2)
    return {
        "dropout, a scaler per fold": problem,
        "batch normalisation": problem.but(network="normalised_cnn"),
        "early stopping": problem.but(settings=long),
        "cosine, no clipping, last epoch": problem.but(
            settings=replace(problem.settings, schedule="cosine", clip=None, select="last")
        ),
        "features": problem.but(network="mlp"),
        "trace": trace_problem,
        "unlabelled windows, soft target and hint": taught_problem,
    }[name]


@pytest.mark.parametrize(
    "name",
    [
        "dropout, a scaler per fold",
        "batch normalisation",
        "early stopping",
        "cosine, no clipping, last epoch",
        "features",
        "trace",
        "unlabelled windows, soft target and hint",
    ],
)
def test_stacked_and_looped_agree_after_several_epochs(
    name: str, problem: Any, taught_problem: Any, trace_problem: Any
) -> None:
    chosen = varied(name, problem, taught_problem, trace_problem)

    stacked, looped = chosen.fit("stacked"), chosen.fit("looped")

    assert_same_states(stacked.states, looped.states)
    assert stacked.epochs == looped.epochs
    assert largest_move(chosen, looped) > 0.02
    for ours, theirs in zip(stacked.history, looped.history, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)


@every_backend
def test_a_fold_does_not_depend_on_which_others_train_with_it(problem: Any, backend: str) -> None:
    everyone = problem.but(settings=Settings(epochs=8, batch=16, learning_rate=2e-2, patience=2))
    together = everyone.fit(backend)

    for chosen in ([2], [4, 2, 0], [3, 1]):
        apart = everyone.only(chosen).fit(backend)
        assert_same_states(apart.states, [together.states[p] for p in chosen], rtol=1e-5, atol=1e-5)
        assert apart.epochs == [together.epochs[p] for p in chosen]


@every_backend
def test_a_taught_fold_does_not_depend_on_which_others_train_with_it(taught_problem: Any, backend: str) -> None:
    """Members leave at different epochs, and each that stays keeps its own teacher."""
    members = [
        Member(replace(m.fold, labelled=m.fold.labelled[24:], validation=m.fold.labelled[:24]), m.seed)
        for m in taught_problem.members
    ]
    settings = Settings(epochs=10, batch=16, learning_rate=3e-2, patience=1)
    everyone = taught_problem.but(members=members, settings=settings)
    together = everyone.fit(backend)

    assert len({len(rows(together, member, "train")) for member in members}) > 1
    for chosen in ([1], [3, 0], [2]):
        assert_same_states(everyone.only(chosen).fit(backend).states, [together.states[p] for p in chosen])


@every_backend
def test_the_same_call_gives_the_same_bits(taught_problem: Any, backend: str) -> None:
    torch.manual_seed(1)
    first = taught_problem.fit(backend)
    torch.manual_seed(2)
    second = taught_problem.fit(backend)

    assert_same_states(first.states, second.states, rtol=0, atol=0)
    assert first.history == second.history


def test_members_differ_by_fold_and_by_seed(problem: Any) -> None:
    fold = problem.members[0].fold
    same_fold = problem.but(members=[Member(fold, 0), Member(fold, 1), Member(replace(fold, repetition=1), 0)])

    states = same_fold.fit().states

    assert not torch.allclose(states[0]["network.head.weight"], states[1]["network.head.weight"], atol=1e-3)
    assert not torch.allclose(states[0]["network.head.weight"], states[2]["network.head.weight"], atol=1e-3)


# ---- a plain loop ----------------------------------------------------------------------------------------------------


def train_plainly(problem: Any, position: int) -> dict[str, Tensor]:
    """Train one member as one would without this package: a module, torch's optimiser and loss functions."""
    member, settings, windows = problem.members[position], problem.settings, problem.windows
    torch.manual_seed(draws.initialisation_seed(member))
    learner = problem.build().train()
    network = learner.network
    optimiser = torch.optim.AdamW(learner.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    training, labelled = member.fold.training, member.fold.labelled
    scaled = {}
    for name, values in windows.inputs.items():
        own = values[torch.from_numpy(training)].double()
        axes = (0, 2)[: values.ndim - 1]
        scaled[name] = ((values - own.mean(axes, keepdim=True)) / own.std(axes, correction=0, keepdim=True)).float()
    counts = torch.bincount(windows.target[torch.from_numpy(labelled)], minlength=2)
    weights = counts.sum() / (2.0 * counts)
    unlabelled = 0 if problem.taught is None else settings.batch // 2
    n_labelled = settings.batch - unlabelled
    steps = math.ceil(len(training) / settings.batch)
    dropouts = [module for module in network.modules() if isinstance(module, Dropout)]
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=settings.epochs * steps)
    for step in range(settings.epochs * steps):
        drawn = draws.batches(member, step // steps, steps=steps, labelled=n_labelled, unlabelled=unlabelled)
        index = torch.from_numpy(drawn[step % steps])
        inputs = {name: values[index] for name, values in scaled.items()}
        put_masks(network, dropouts, member, step, inputs)
        outputs = network(inputs)
        seen = index[:n_labelled]
        loss = nn.functional.cross_entropy(outputs.prediction[:n_labelled], windows.target[seen], weight=weights)
        if problem.taught is not None:
            loss = loss + plain_teaching(problem, learner, outputs, position, index, weights)
        optimiser.zero_grad()
        loss.backward()
        for part in (network, learner.losses):  # what helps has no say in how far the network may move
            if own := list(part.parameters()):
                nn.utils.clip_grad_norm_(own, settings.clip)
        optimiser.step()
        if settings.schedule == "cosine":
            schedule.step()
    return {f"network.{name}": value for name, value in network.state_dict().items()}


def plain_teaching(problem: Any, learner: Any, outputs: Any, position: int, index: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted soft target and hint of a batch by torch's own functions, given the class weights."""
    soft, hint = problem.losses["soft"], problem.losses["hint"]
    temperature = soft["temperature"]
    teacher = problem.taught.logits[position, index]
    divergence = nn.functional.kl_div(
        nn.functional.log_softmax(outputs.prediction / temperature, dim=1),
        nn.functional.softmax(teacher / temperature, dim=1),
        reduction="none",
    ).sum(dim=1)
    window_weights = teacher.softmax(dim=1) @ weights
    divergence = (divergence * window_weights).sum() / window_weights.sum()
    projected = learner.losses["hint"].matched["teacher"].layer(outputs.features[hint["student"]])
    distance = nn.functional.mse_loss(projected, problem.taught.teachers["teacher"][hint["teacher"]][position, index])
    return soft["weight"] * temperature**2 * divergence + hint["weight"] * distance


def put_masks(
    network: nn.Module, dropouts: list[Dropout], member: Member, step: int, inputs: dict[str, Tensor]
) -> None:
    """Give every dropout layer the mask that the member draws at a step: one after the other, 16 bits an element."""
    shapes: list[torch.Size] = []
    handles = [layer.register_forward_hook(lambda _, x, __: shapes.append(x[0].shape)) for layer in dropouts]
    network.eval()(inputs)
    network.train()
    for handle in handles:
        handle.remove()
    bits = torch.from_numpy(draws.mask_bits(member, step, sum(shape.numel() for shape in shapes)).copy())
    for layer, shape, own in zip(dropouts, shapes, bits.split([s.numel() for s in shapes]), strict=True):
        dropped = round(layer.p * 2**16)
        layer.mask = (own >= dropped - 2**15).float().reshape(shape) / (1 - dropped / 2**16)


@every_backend
@pytest.mark.parametrize("kind", ["alone", "taught"])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_training_is_that_of_a_plain_loop(
    problem: Any, taught_problem: Any, backend: str, kind: str, schedule: str
) -> None:
    chosen = taught_problem if kind == "taught" else problem
    chosen = chosen.but(settings=replace(chosen.settings, select="last", schedule=schedule))

    trained = chosen.fit(backend)

    for position in (0, 2):
        plain = train_plainly(chosen, position)
        assert_same_states([trained.states[position]], [plain])
    assert largest_move(chosen, trained) > 0.02


def test_a_separable_problem_is_learnt(problem: Any, windows: Callable[..., Any]) -> None:
    easy = problem.but(windows=windows(noise=0.5), settings=Settings(epochs=15, batch=16, learning_rate=1e-2))

    trained = easy.fit()

    ensemble = restored(easy, trained)
    tests = [member.fold.test for member in easy.members]
    scalers = easy.windows.scalers([member.fold.training for member in easy.members])
    for (prediction, _), index in zip(predict(ensemble, easy.windows, tests, scalers=scalers), tests, strict=True):
        assert (prediction.argmax(dim=1) == easy.windows.target[torch.from_numpy(index)]).float().mean() > 0.9


def test_a_recurrent_network_trains_looped(problem: Any) -> None:
    recurrent = problem.but(network="recurrent", settings=Settings(epochs=6, batch=16, learning_rate=2e-2))

    trained = recurrent.fit("looped")

    for member in recurrent.members:
        losses = [row["loss"] for row in rows(trained, member, "train")]
        assert losses[-1] < 0.7 * losses[0]


# ---- what may be seen ------------------------------------------------------------------------------------------------


def poisoned(windows: Any, index: np.ndarray) -> Any:
    inputs = {name: values.clone() for name, values in windows.inputs.items()}
    for values in inputs.values():
        values[torch.from_numpy(index)] = torch.nan
    return replace(windows, inputs=inputs)


@every_backend
def test_test_windows_are_never_read(problem: Any, backend: str) -> None:
    """Each fold is trained on windows whose test subjects are NaN, and ends where it ended with them."""
    clean = problem.fit(backend)

    for position, member in enumerate(problem.members):
        trained = problem.only([position]).but(windows=poisoned(problem.windows, member.fold.test)).fit(backend)
        assert_same_states(trained.states, [problem.only([position]).fit(backend).states[0]], rtol=0, atol=0)
        assert_same_states(trained.states, [clean.states[position]])


def test_targets_of_unlabelled_and_test_windows_are_never_read(taught_problem: Any) -> None:
    windows = taught_problem.windows
    member = taught_problem.members[0]
    target = windows.target.clone()
    hidden = torch.from_numpy(np.setdiff1d(np.arange(len(target)), member.fold.labelled))
    target[hidden] = 1 - target[hidden]

    one = taught_problem.only([0])
    changed = one.but(windows=replace(windows, target=target))

    assert_same_states(changed.fit().states, one.fit().states, rtol=0, atol=0)


def test_unlabelled_windows_are_not_drawn_where_nothing_is_taught_on_them(taught_problem: Any) -> None:
    windows, member = taught_problem.windows, taught_problem.members[0]
    alone = taught_problem.only([0]).but(losses={"hard": {}}, taught=None, windows=replace(windows, per_fold=False))
    inputs = {name: values.clone() for name, values in windows.inputs.items()}
    for values in inputs.values():
        values[torch.from_numpy(member.fold.unlabelled)] += 50.0

    changed = alone.but(windows=replace(alone.windows, inputs=inputs))

    assert_same_states(changed.fit().states, alone.fit().states, rtol=0, atol=0)


def test_unlabelled_windows_are_learnt_from_where_they_are_taught(taught_problem: Any) -> None:
    one = taught_problem.only([0])
    logits = one.taught.logits.clone()
    logits[0, torch.from_numpy(one.members[0].fold.unlabelled)] *= -1.0

    changed = one.but(taught=replace(one.taught, logits=logits))

    difference = changed.fit().states[0]["network.head.weight"] - one.fit().states[0]["network.head.weight"]
    assert difference.abs().max() > 1e-3


# ---- early stopping --------------------------------------------------------------------------------------------------


@pytest.fixture
def stopping(problem: Any, windows: Callable[..., Any]) -> Any:
    """Noise that a large learning rate soon over-fits: members stop at different epochs."""
    return problem.but(
        windows=windows(noise=6.0), settings=Settings(epochs=25, batch=16, learning_rate=3e-2, patience=3)
    )


def restored(problem: Any, trained: Trained) -> Ensemble:
    ensemble = problem.ensemble("looped")
    for position, state in enumerate(trained.states):
        ensemble.load_state(position, state)
    return ensemble


@every_backend
def test_the_best_state_on_the_validation_subjects_is_restored(stopping: Any, backend: str) -> None:
    trained = stopping.fit(backend)
    ensemble = restored(stopping, trained)
    validation = [member.fold.validation for member in stopping.members]
    scalers = stopping.windows.scalers([member.fold.training for member in stopping.members])
    found = predict(ensemble, stopping.windows, validation, scalers=scalers)

    for position, member in enumerate(stopping.members):
        curve = [row["loss"] for row in rows(trained, member, "validation")]
        target = stopping.windows.target
        weights = class_weights(target[torch.from_numpy(member.fold.labelled)].numpy(), 2)
        own = target[torch.from_numpy(validation[position])]
        loss = hard_target(found[position][0], own, torch.from_numpy(weights), torch.ones(len(own)))["hard"].item()
        assert loss == pytest.approx(min(curve), abs=1e-5)
        assert trained.epochs[position] == int(np.argmin(curve)) + 1


def test_a_member_stops_when_its_own_patience_is_over(stopping: Any) -> None:
    trained = stopping.fit()

    lengths = []
    for position, member in enumerate(stopping.members):
        curve = rows(trained, member, "validation")
        assert [row["epoch"] for row in curve] == list(range(1, len(curve) + 1))
        assert len(curve) == min(25, trained.epochs[position] + 3)
        assert len(rows(trained, member, "train")) == len(curve)
        lengths.append(len(curve))
    assert len(set(lengths)) > 1
    assert min(lengths) < 25


@every_backend
def test_members_that_have_finished_cost_nothing_more(
    stopping: Any, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    original = Ensemble.gradients

    def counting(self: Ensemble, *arguments: Any) -> Any:
        sizes.append(len(self))
        return original(self, *arguments)

    monkeypatch.setattr(Ensemble, "gradients", counting)
    trained = stopping.fit(backend)

    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 5 > sizes[-1]
    steps = [
        len(rows(trained, m, "train")) * steps_per_epoch(len(m.fold.training), stopping.settings.batch)
        for m in stopping.members
    ]
    assert sum(sizes) == sum(steps)


def test_without_patience_every_epoch_is_trained_and_the_best_still_counts(stopping: Any) -> None:
    trained = stopping.but(settings=replace(stopping.settings, patience=None, epochs=6)).fit()

    for position, member in enumerate(stopping.members):
        curve = [row["loss"] for row in rows(trained, member, "validation")]
        assert len(curve) == 6
        assert trained.epochs[position] == int(np.argmin(curve)) + 1


def test_the_last_epoch_counts_where_it_is_asked_for(stopping: Any) -> None:
    trained = stopping.but(settings=replace(stopping.settings, select="last", epochs=5)).fit()

    assert trained.epochs == [5] * 5
    assert all(len(rows(trained, member, "validation")) == 5 for member in stopping.members)


def test_the_last_epoch_counts_where_there_are_no_validation_subjects(problem: Any) -> None:
    bare = problem.but(
        members=[
            Member(replace(m.fold, validation=np.empty(0, np.int64), validation_subjects=()), m.seed)
            for m in problem.members
        ],
        settings=replace(problem.settings, patience=1),
    )

    trained = bare.fit()

    assert trained.epochs == [4] * 5
    assert not any(row["split"] == "validation" for row in trained.history)


def test_members_with_and_without_validation_train_side_by_side(problem: Any) -> None:
    first, *others = problem.members
    bare = Member(replace(first.fold, validation=np.empty(0, np.int64), validation_subjects=()), first.seed)

    mixed = problem.but(members=[bare, *others]).fit()

    assert mixed.epochs[0] == 4
    assert_same_states(mixed.states[1:], problem.fit().states[1:])


def test_folds_of_different_sizes_keep_their_own_clocks(problem: Any) -> None:
    first, *others = problem.members
    small = Member(replace(first.fold, labelled=first.fold.labelled[:20]), first.seed)
    mixed = problem.but(members=[small, *others])

    together = mixed.fit()

    assert_same_states(together.states[:1], mixed.only([0]).fit().states)
    assert_same_states(together.states[1:], problem.fit().states[1:])
    assert all(len(rows(together, member, "train")) == 4 for member in mixed.members)


# ---- history, progress, timing ---------------------------------------------------------------------------------------


def test_the_history_has_a_row_per_member_epoch_and_split_with_the_terms_of_the_loss(taught_problem: Any) -> None:
    trained = taught_problem.fit()

    for member in taught_problem.members:
        curve = rows(trained, member, "train")
        assert [row["epoch"] for row in curve] == [1, 2, 3, 4]
        for row in curve:
            assert row["loss"] == pytest.approx(row["hard"] + 0.5 * row["soft"] + 0.2 * row["hint"], rel=1e-4)


def test_progress_counts_the_epochs_of_all_members(stopping: Any) -> None:
    calls: list[tuple[int, int]] = []

    stopping.fit(progress=lambda done, total: calls.append((done, total)))

    done = [d for d, _ in calls]
    assert {total for _, total in calls} == {5 * 25}
    assert done == sorted(done)
    assert done[-1] == 125


def test_a_training_can_be_cut_short_for_timing(problem: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    original = Ensemble.gradients
    monkeypatch.setattr(
        Ensemble, "gradients", lambda self, c, b, step: (steps.append(step), original(self, c, b, step))[1]
    )

    trained = problem.fit(max_steps=3)

    assert steps == [0, 1, 2]
    assert len(trained.states) == 5


# ---- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("role", "kind"), [("labelled", "training"), ("validation", "validation")])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_signals_that_are_not_finite_are_refused_with_their_place(
    problem: Any, role: str, kind: str, value: float
) -> None:
    bad = int(getattr(problem.members[3].fold, role)[2])
    inputs = {name: values.clone() for name, values in problem.windows.inputs.items()}
    inputs["eda"][bad, 0, 5] = value
    one = problem.only([3]).but(windows=replace(problem.windows, inputs=inputs))

    with pytest.raises(DataError, match=rf"1 of the \d+ {kind} windows of repetition 0, fold 3.*'eda' \(window {bad} "):
        one.fit()


def test_infinite_features_are_refused_and_missing_ones_are_not(problem: Any) -> None:
    window = int(problem.members[0].fold.labelled[0])
    inputs = {name: values.clone() for name, values in problem.windows.inputs.items()}
    inputs["ecg"][window, 1] = torch.nan
    missing = problem.only([0]).but(network="mlp", windows=replace(problem.windows, inputs=inputs))

    assert all(torch.isfinite(value).all() for value in missing.fit().states[0].values())
    inputs["ecg"][window, 1] = torch.inf
    infinite = missing.but(windows=replace(problem.windows, inputs=inputs))
    with pytest.raises(DataError, match=r"infinite values in 'ecg'"):
        infinite.fit()


@pytest.mark.parametrize("name", ["logits", "fused"])
@pytest.mark.parametrize("role", ["labelled", "unlabelled"])
def test_knowledge_that_is_not_finite_on_a_training_window_is_refused(
    taught_problem: Any, name: str, role: str
) -> None:
    window = int(getattr(taught_problem.members[2].fold, role)[0])
    logits, fused = taught_problem.taught.logits.clone(), taught_problem.taught.teachers["teacher"]["fused"].clone()
    (logits if name == "logits" else fused)[2, window, 0] = torch.nan

    with pytest.raises(DataError, match=f"teacher's {name} of repetition 0, fold 2, seed 3 are not finite"):
        taught_problem.but(taught=Taught(logits, {"teacher": {"fused": fused}}, unlabelled=True)).fit()


def test_knowledge_that_is_missing_is_refused(taught_problem: Any) -> None:
    taught = taught_problem.taught

    with pytest.raises(DataError, match="takes the teacher's logits, but none"):
        taught_problem.but(taught=replace(taught, logits=None)).fit()
    # The map is built from what is handed over, so the ensemble is built from the whole.
    with pytest.raises(DataError, match=r"features \['fused'\], but they were not"):
        taught_problem.but(taught=replace(taught, teachers={})).fit_on(taught_problem.ensemble("looped"))


def test_a_member_that_could_learn_nothing_is_refused(taught_problem: Any) -> None:
    soft = taught_problem.but(losses={"soft": {"on": "unlabelled"}})
    with pytest.raises(DataError, match="soft: all losses are on unlabelled windows, of which repetition 0, fold 0"):
        soft.but(taught=replace(soft.taught, unlabelled=False)).fit()

    trust = torch.ones(soft.taught.logits.shape[:2])
    member = soft.members[2]
    trust[2, torch.from_numpy(member.fold.unlabelled)] = 0.0
    filtered = replace(soft.taught, trust=trust)
    with pytest.raises(DataError, match=f"None of the {len(member.fold.unlabelled)} unlabelled windows of .* fold 2"):
        soft.but(taught=filtered).fit()
    taught_problem.but(taught=filtered).fit()  # with labels there is something left to learn


def test_a_fold_without_labels_is_refused(problem: Any) -> None:
    member = problem.members[1]
    empty = Member(replace(member.fold, labelled=np.empty(0, np.int64)), member.seed)

    with pytest.raises(DataError, match="no labelled training window in repetition 0, fold 1"):
        problem.but(members=[empty]).fit()


def test_members_with_and_without_unlabelled_windows_do_not_train_as_one(
    problem: Any, half_labelled_members: list[Member]
) -> None:
    with pytest.raises(DataError, match="all have unlabelled windows, or none"):
        problem.but(members=[problem.members[0], half_labelled_members[1]]).fit()


@every_backend
def test_a_loss_that_is_no_longer_finite_names_the_member(problem: Any, backend: str) -> None:
    huge = {name: values * 1e30 for name, values in problem.windows.inputs.items()}
    wild = problem.but(windows=replace(problem.windows, inputs=huge, per_fold=False), network="mlp")

    with pytest.raises(LimbeckError, match=r"loss of repetition 0, fold \d, seed \d is (nan|inf).*learning_rate"):
        wild.but(settings=replace(wild.settings, learning_rate=1e30)).fit(backend)


# ---- settings, weights, prediction -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batch", "share", "expected"),
    [
        (64, 0.5, (32, 32)),
        (10, 0.25, (2, 8)),
        (64, 0.0, (1, 63)),
        (64, 1.0, (63, 1)),
        (2, 0.9, (1, 1)),
        (3, 0.5, (2, 1)),
    ],
)
def test_a_batch_holds_labelled_and_unlabelled_windows_in_fixed_shares(
    batch: int, share: float, expected: tuple[int, int]
) -> None:
    assert Settings(batch=batch, labelled_share=share).shares(True) == expected


def test_a_batch_is_all_labelled_where_the_fold_is() -> None:
    assert Settings(batch=64, labelled_share=0.25).shares(False) == (64, 0)
    assert Settings(batch=1).shares(False) == (1, 0)


def test_a_batch_of_one_cannot_hold_two_kinds() -> None:
    with pytest.raises(DataError, match=r"batch of 1 is too small; expected at least 2"):
        Settings(batch=1).shares(True)


@pytest.mark.parametrize(("n", "expected"), [(1, 1), (64, 1), (65, 2), (640, 10)])
def test_an_epoch_has_as_many_steps_as_the_training_windows_fill(n: int, expected: int) -> None:
    assert steps_per_epoch(n, 64) == expected


def test_class_weights_are_inverse_to_frequency_and_average_to_one_over_the_windows() -> None:
    target = np.array([0] * 6 + [1] * 3 + [3])

    weights = class_weights(target, 5)

    np.testing.assert_allclose(weights, [10 / 18, 10 / 9, 0, 10 / 3, 0], rtol=1e-6)
    assert weights[target].mean() == pytest.approx(1.0)


def test_class_weights_come_from_the_labelled_windows_alone(
    taught_problem: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []
    original = Ensemble.gradients
    monkeypatch.setattr(
        Ensemble, "gradients", lambda self, c, b, s: (seen.append(b.class_weights), original(self, c, b, s))[1]
    )

    taught_problem.fit(max_steps=1)

    target = taught_problem.windows.target.numpy()
    expected = [class_weights(target[member.fold.labelled], 2) for member in taught_problem.members]
    np.testing.assert_allclose(seen[0].numpy(), np.stack(expected))


@every_backend
def test_predicting_in_pieces_gives_the_whole(problem: Any, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ensemble = problem.ensemble(backend)
    index_sets = [member.fold.labelled[: 30 + 7 * p] for p, member in enumerate(problem.members)]
    scalers = problem.windows.scalers([member.fold.training for member in problem.members])
    whole = predict(ensemble, problem.windows, index_sets, scalers=scalers, features=["embedding"])

    monkeypatch.setattr(loop, "PREDICTION_BUDGET", 37 * 5 * 4)
    pieces = predict(ensemble, problem.windows, index_sets, scalers=scalers, features=["embedding"])

    for index, (prediction, features), (other, other_features) in zip(index_sets, whole, pieces, strict=True):
        assert prediction.shape == (len(index), 2)
        torch.testing.assert_close(other, prediction, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(other_features, features, rtol=1e-5, atol=1e-6)


@every_backend
def test_a_prediction_is_that_of_the_network_on_scaled_windows(problem: Any, backend: str) -> None:
    ensemble, member = problem.ensemble(backend), problem.members[1]
    scalers = problem.windows.scalers([m.fold.training for m in problem.members])

    ((prediction, features),) = predict(
        ensemble, problem.windows, [member.fold.test], scalers=scalers, positions=[1], features=["embedding"]
    )

    network = problem.build().network.eval()
    network.load_state_dict({name.removeprefix("network."): v for name, v in ensemble.state_of(1).items()})
    training = problem.windows.inputs["eda"][torch.from_numpy(member.fold.training)]
    own = problem.windows.inputs["eda"][torch.from_numpy(member.fold.test)]
    with torch.no_grad():
        expected = network({"eda": (own - training.mean()) / training.std(correction=0)})
    torch.testing.assert_close(prediction, expected.prediction, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(features["embedding"], expected.features["embedding"], rtol=1e-4, atol=1e-5)


def test_a_member_may_have_nothing_to_predict(problem: Any) -> None:
    ensemble = problem.ensemble("stacked")
    scalers = problem.windows.scalers([m.fold.training for m in problem.members])
    index_sets = [np.arange(5), *[np.empty(0, np.int64)] * 4]

    found = predict(ensemble, problem.windows, index_sets, scalers=scalers)

    assert [len(prediction) for prediction, _ in found] == [5, 0, 0, 0, 0]
    with pytest.raises(DataError, match="no windows to predict"):
        predict(ensemble, problem.windows, [np.empty(0, np.int64)] * 5, scalers=scalers)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_gpu_trains_to_the_same_weights(problem: Any) -> None:
    windows = problem.windows
    moved = replace(windows, inputs={n: v.cuda() for n, v in windows.inputs.items()}, target=windows.target.cuda())
    ensemble = Ensemble(problem.build, problem.members, backend="stacked", device="cuda")

    trained = loop.fit(ensemble, moved, problem.settings)

    expected = problem.fit("looped").states
    assert_same_states(
        [{n: v.cpu() for n, v in state.items()} for state in trained.states], expected, rtol=1e-3, atol=1e-3
    )


def test_the_refit_on_everything_trains_like_any_fold(fold: Callable[..., Fold], problem: Any) -> None:
    """Its fold is numbered -1 and has neither validation nor test windows."""
    refit = problem.but(members=[Member(fold(-1), 0)])

    assert refit.fit().epochs == [4]


# ---- partners, sights and steps --------------------------------------------------------------------------------------


class Agree(Loss):
    """Pulls the network and a partner together, and the network's two sights; so little that no label is drowned."""

    trains_prediction = True

    def __init__(self, partner: str, *, second: bool = False, weight: float = 0.5) -> None:
        super().__init__(weight)
        self.partner, self.sights = partner, ("plain", "second") if second else ("plain",)

    @property
    def partner_sights(self) -> dict[str, tuple[str, ...]]:
        return {self.partner: self.sights}

    def forward(self, said: Said, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        apart = [
            (said.network[own].prediction - said.partners[self.partner][other].prediction).square().mean()
            for own in self.sights
            for other in self.sights
        ]
        value = torch.stack(apart).mean()
        return value, {"apart": value}


def jittered(shapes: dict[str, InputShape]) -> Augmentation:
    return Augmentation.parse(
        {name: [{"jitter": 0.3}] for name in shapes}, {n: (s.channels, s.length, s.rate) for n, s in shapes.items()}
    )


@pytest.fixture
def rich(windows: Callable[..., Any]) -> Any:
    """Windows of the signal with a second one, which a richer network reads."""
    plain = windows()
    signal = plain.inputs["eda"]
    level = plain.target[:, None, None] * 2.0 - 1.0
    second = level + 0.5 * torch.randn(signal.shape, generator=torch.Generator().manual_seed(7))
    shapes = {"eda": InputShape(1, 32, 4.0), "temp": InputShape(1, 32, 4.0)}
    return replace(plain, inputs={"eda": signal, "temp": second}, shapes=shapes)


@pytest.fixture
def cotrained(problem: Any, rich: Any, beside: Any, windows: Callable[..., Any]) -> Callable[[str], Any]:
    """Return trainings with networks beside the trained one, by name."""
    cheap = {"eda": InputShape(1, 32, 4.0)}

    def make(name: str) -> Any:
        peer = {"peer": beside("rich_cnn", rich)}
        slow = {"slow": beside(learns="average", options={"momentum": 0.8})}
        teacher = {"teacher": beside("rich_cnn", rich, teaches=True)}
        augmented = {"": jittered(cheap), "slow": jittered(cheap)}
        soft = {"hard": {}, "soft": {}}
        return {
            "a partner that learns": problem.but(partners=peer, own_losses={"agree": lambda: Agree("peer")}),
            "an average": problem.but(partners=slow, own_losses={"agree": lambda: Agree("slow")}, deployed="slow"),
            "an average with batch normalisation": problem.but(
                network="normalised_cnn", partners=slow, own_losses={"agree": lambda: Agree("slow")}
            ),
            "an average that sees other changes": problem.but(
                partners=slow, own_losses={"agree": lambda: Agree("slow", second=True)}, augmentations=augmented
            ),
            "feedback": problem.but(losses=soft, partners=teacher, steps=Feedback(quiz=8)),
            "feedback first": problem.but(
                losses=soft, partners=teacher, steps=Feedback(quiz=8, order="feedback_first", every=2, regulated=True)
            ),
            "feedback by differences": problem.but(
                losses=soft, partners=teacher, steps=Feedback(quiz=8, mode="finite_diff", inner_rate=0.1)
            ),
            "feedback with hints": problem.but(
                losses={**soft, "hint": {"map": "linear", "student": "embedding", "teacher": "embedding"}},
                partners=teacher,
                steps=Feedback(quiz=8),
            ),
            "a live teacher with dropout": problem.but(
                losses=soft,
                partners={
                    "teacher": beside("rich_cnn", rich, learns="frozen", teaches=True, options={"dropout": True})
                },
            ),
        }[name]

    return make


COTRAININGS = (
    "a partner that learns",
    "an average",
    "an average with batch normalisation",
    "an average that sees other changes",
    "feedback",
    "feedback first",
    "feedback by differences",
    "feedback with hints",
    "a live teacher with dropout",
)
every_cotraining = pytest.mark.parametrize("name", COTRAININGS)


@every_cotraining
def test_stacked_and_looped_agree_for_networks_that_train_together(name: str, cotrained: Callable[[str], Any]) -> None:
    chosen = cotrained(name)

    stacked, looped = chosen.fit("stacked"), chosen.fit("looped")

    assert_same_states(stacked.states, looped.states)
    assert stacked.epochs == looped.epochs
    assert largest_move(chosen, looped) > 0.02
    for ours, theirs in zip(stacked.history, looped.history, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)


@every_cotraining
def test_networks_that_train_together_do_not_depend_on_companions(
    name: str, cotrained: Callable[[str], Any], windows: Callable[..., Any]
) -> None:
    """Members leave at different epochs, each with its own partners."""
    settings = Settings(epochs=8, batch=16, learning_rate=3e-2, patience=1)
    chosen = cotrained(name).but(settings=settings, windows=windows(noise=6.0))
    together = chosen.fit("stacked")

    assert len({len(rows(together, member, "train")) for member in chosen.members}) > 1
    for positions in ([2], [4, 0]):
        apart = chosen.only(positions).fit("stacked")
        assert_same_states(apart.states, [together.states[p] for p in positions])


@every_cotraining
def test_networks_that_train_together_end_in_the_same_bits_again(name: str, cotrained: Callable[[str], Any]) -> None:
    chosen = cotrained(name).only([1, 3])
    assert_same_states(chosen.fit().states, chosen.fit().states, rtol=0, atol=0)


def parameters_after(problem: Any, steps: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return all parameters and buffers of the first member after some steps."""
    ensemble = problem.only([0]).ensemble("looped")
    problem.only([0]).fit_on(ensemble, max_steps=steps)
    return {n: v[0].clone() for n, v in ensemble.parameters_of(ensemble.flat).items()}, {
        n: v[0].clone() for n, v in ensemble.buffers.items()
    }


@pytest.mark.parametrize("mode", ["none", "ce_only", "second_order"])
def test_the_phases_of_feedback_move_their_own_network_alone(
    cotrained: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, mode: Any
) -> None:
    moved: list[tuple[str, set[str]]] = []
    original = AdamW.step

    chosen = cotrained("feedback").but(steps=Feedback(quiz=8, mode=mode)).only([0])
    ensemble = chosen.ensemble("looped")
    flat = [ensemble.flat.clone()]
    phases: list[str] = []
    gradients = Ensemble.gradients

    def note_phase(self: Ensemble, phase: Any, batch: Any, step: int) -> Any:
        phases.append(phase.name)
        return gradients(self, phase, batch, step)

    def note(self: AdamW, *arguments: Any) -> None:
        original(self, *arguments)
        changed = ensemble.parameters_of((ensemble.flat != flat[0])[0])
        moved.append((phases[-1], {name.split(".")[0] for name, value in changed.items() if value.any()}))
        flat[0] = ensemble.flat.clone()

    monkeypatch.setattr(Ensemble, "gradients", note_phase)
    monkeypatch.setattr(AdamW, "step", note)
    chosen.fit_on(ensemble, max_steps=2)

    lesson = ("loss", {"network"})
    assert moved == ([lesson] * 2 if mode == "none" else [lesson, ("feedback", {"partners"})] * 2)


def test_quizzes_hold_labelled_training_windows_that_the_batch_does_not(
    cotrained: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = cotrained("feedback")
    rows_of = chosen.windows.inputs["eda"]
    unscaled = chosen.but(windows=replace(chosen.windows, per_fold=False))
    seen: list[Batch] = []
    original = Ensemble.gradients
    monkeypatch.setattr(Ensemble, "gradients", lambda self, p, b, s: (seen.append(b), original(self, p, b, s))[1])

    unscaled.fit(max_steps=12)

    for batch in seen:
        quiz = batch.sights["quiz"].inputs["eda"]
        for position, member in enumerate(unscaled.members):
            index = [int((rows_of == window).all(dim=-1).all(dim=-1).nonzero()) for window in quiz[position]]
            assert len(set(index)) == 8
            assert set(index) <= set(member.fold.labelled)
            assert not set(index) & set(batch.index[position].tolist())
            truth = batch.sights["quiz"].notes["target"][position]
            assert torch.equal(truth, unscaled.windows.target[torch.tensor(index)])


def test_a_quiz_that_leaves_no_window_over_is_refused(cotrained: Callable[[str], Any]) -> None:
    member = cotrained("feedback").members[0]
    few = Member(replace(member.fold, labelled=member.fold.labelled[:20]), member.seed)

    with pytest.raises(DataError, match=r"A quiz of 8 labelled windows next to the 16 .* repetition 0, fold 0"):
        cotrained("feedback").but(members=[few]).fit()


def test_feedback_is_reported_under_its_own_name_in_either_order(cotrained: Callable[[str], Any]) -> None:
    for name in ("feedback", "feedback first"):
        chosen = cotrained(name).only([0])
        for row in rows(chosen.fit(), chosen.members[0], "train"):
            assert row["loss"] == pytest.approx(row["hard"] + row["soft"], rel=1e-4)
            assert row["quiz.teacher"] > 0
            if name == "feedback":
                assert row["feedback"] == pytest.approx(row["quiz.teacher"] + row["quiz.student"], rel=0.2)


@pytest.mark.parametrize(("learnt", "expected"), [("student", "none"), ("teacher", "all")])
def test_regulated_feedback_is_as_strong_as_the_student_is_worse(
    cotrained: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, learnt: str, expected: str
) -> None:
    """Nothing is left of it where the teacher stood still, and most where the student did."""
    chosen = cotrained("feedback").but(
        steps=Feedback(quiz=8, regulated=True, teacher_rate=1e-9 if learnt == "student" else 5e-2),
        settings=Settings(epochs=4, batch=16, learning_rate=2e-2 if learnt == "student" else 1e-6, patience=None),
    )
    seen: list[Tensor] = []
    original = Ensemble.gradients
    monkeypatch.setattr(
        Ensemble, "gradients", lambda self, p, b, s: (seen.append(b.strength.clone()), original(self, p, b, s))[1]
    )

    chosen.fit()

    assert torch.equal(seen[0], torch.ones(5))
    assert all(bool(((strength >= 0) & (strength <= 1)).all()) for strength in seen)
    if expected == "none":
        assert torch.equal(seen[-1], torch.zeros(5))
    else:
        assert (seen[-1] > 0.5).all()


def test_an_average_is_what_is_validated_predicted_and_stored(cotrained: Callable[[str], Any]) -> None:
    chosen = cotrained("an average").but(settings=Settings(epochs=3, batch=16, learning_rate=2e-2, select="last"))
    ensemble = chosen.only([0]).ensemble("looped")
    trained = chosen.only([0]).fit_on(ensemble)
    values = ensemble.parameters_of(ensemble.flat) | ensemble.buffers

    assert not torch.equal(trained.states[0]["network.head.weight"], values["network.head.weight"][0])
    assert all(key.startswith("network.") for key in trained.states[0])
    assert torch.equal(trained.states[0]["network.head.weight"], values["partners.slow.head.weight"][0])
    x = torch.randn(1, 4, 1, 32)
    network = chosen.build().network.eval()
    network.load_state_dict({k.removeprefix("network."): v for k, v in trained.states[0].items()})
    torch.testing.assert_close(ensemble.outputs({"eda": x}).prediction[0], network({"eda": x[0]}).prediction)


def test_an_average_starts_where_the_network_starts(
    cotrained: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights of another stage are loaded into the network; its average is not left at the random ones."""
    chosen = cotrained("an average with batch normalisation").only([0, 1])
    ensemble = chosen.ensemble("stacked")
    ensemble.load_state(
        1, {name: value + 1.0 for name, value in ensemble.state_of(1).items() if value.is_floating_point()}
    )
    seen: list[dict[str, Tensor]] = []
    original = Ensemble.gradients

    def note(self: Ensemble, *arguments: Any) -> Any:
        seen.append({name: value.clone() for name, value in self.buffers.items()})
        seen[-1] |= {name: value.clone() for name, value in self.parameters_of(self.flat).items()}
        return original(self, *arguments)

    monkeypatch.setattr(Ensemble, "gradients", note)
    chosen.fit_on(ensemble, max_steps=1)

    for name in ("head.weight", "convolution.weight", "norm.running_mean"):
        assert torch.equal(seen[0][f"partners.slow.{name}"], seen[0][f"network.{name}"])


def test_an_average_follows_every_step(cotrained: Callable[[str], Any]) -> None:
    chosen = cotrained("an average with batch normalisation")
    name = "head.weight"
    states = [parameters_after(chosen, k + 1)[0][f"network.{name}"].double() for k in range(7)]

    _, buffers = parameters_after(chosen, 7)

    expected = torch.zeros_like(states[0])
    for k, state in enumerate(states):
        keep = min(0.8, 1 - 1 / (k + 1))
        expected = keep * expected + (1 - keep) * state
    torch.testing.assert_close(buffers[f"partners.slow.{name}"].double(), expected, rtol=1e-5, atol=1e-6)
    for statistic in ("norm.running_mean", "norm.running_var"):
        assert torch.equal(buffers[f"partners.slow.{statistic}"], buffers[f"network.{statistic}"])


def test_a_live_teacher_that_does_not_learn_stays_as_it_is(cotrained: Callable[[str], Any], beside: Any) -> None:
    chosen = cotrained("feedback").but(
        partners={"teacher": beside("normalised_cnn", learns="frozen", teaches=True)}, steps=None
    )
    ensemble = chosen.only([0]).ensemble("looped")
    before = {name: value.clone() for name, value in ensemble.buffers.items() if name.startswith("partners.")}
    assert any(name.endswith("running_mean") for name in before)

    chosen.only([0]).fit_on(ensemble)

    for name, value in before.items():
        assert torch.equal(ensemble.buffers[name], value), name


@every_backend
def test_frozen_parameters_do_not_move_not_even_by_weight_decay(problem: Any, backend: str) -> None:
    settings = replace(problem.settings, weight_decay=0.5)
    frozen = problem.but(network="normalised_cnn", frozen=("convolution", "norm"), settings=settings)
    start = frozen.ensemble("looped")

    trained = frozen.fit(backend)

    for position, state in enumerate(trained.states):
        before = start.state_of(position)
        for name in ("convolution.weight", "norm.weight", "norm.bias"):
            assert torch.equal(state[f"network.{name}"], before[f"network.{name}"])
        assert not torch.equal(state["network.head.weight"], before["network.head.weight"])


def test_the_scrambled_control_shows_a_partner_other_windows(cotrained: Callable[[str], Any]) -> None:
    chosen = cotrained("a live teacher with dropout").only([0])
    ensemble = chosen.ensemble("looped")
    order = torch.arange(len(chosen.windows.target)).flip(0)[None]
    read = {name: replace(own, order=order) for name, own in chosen.read_by_partners.items()}
    index = torch.tensor([[3, 8, 50]])

    plain = Sights(ensemble.skeleton, chosen.windows, chosen.read_by_partners, {}, ensemble.members).of(index, 0)
    moved = Sights(ensemble.skeleton, chosen.windows, read, {}, ensemble.members).of(index, 0)
    other = Sights(ensemble.skeleton, chosen.windows, chosen.read_by_partners, {}, ensemble.members).of(
        order[0][index], 0
    )

    assert torch.equal(moved["plain"].inputs["eda"], plain["plain"].inputs["eda"])
    for modality in ("eda", "temp"):
        assert torch.equal(moved["teacher/plain"].inputs[modality], other["teacher/plain"].inputs[modality])
        assert not torch.equal(moved["teacher/plain"].inputs[modality], plain["teacher/plain"].inputs[modality])


def test_networks_and_losses_are_clipped_apart(cotrained: Callable[[str], Any]) -> None:
    ensemble = cotrained("feedback with hints").ensemble("looped")

    names = [name for name, _, _ in ensemble._layout]
    for part, prefix in zip(ensemble.parts, ("network.", "losses.", "partners.teacher."), strict=True):
        assert part == ensemble.columns((prefix,))
        assert any(name.startswith(prefix) for name in names)
    assert (ensemble.parts[0].start, ensemble.parts[-1].stop) == (0, ensemble.flat.shape[1])


class Shrink(Loss):
    """Pulls what the network says to zero: nothing that predicts."""

    def forward(self, said: Said, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        value = said.plain.prediction.square().mean()
        return value, {"shrink": value}


def test_a_head_that_nothing_teaches_to_predict_is_not_validated(problem: Any) -> None:
    chosen = problem.but(losses={"hard": {}}, settings=replace(problem.settings, epochs=2))
    assert any(row["split"] == "validation" for row in chosen.fit("looped").history)

    class Pretext(type(chosen)):  # type: ignore[misc]
        def build(self) -> Any:
            learner = super().build()
            return type(learner)(learner.network, {"shrink": Shrink()}, learner.context)

    pretext = Pretext(**{name: getattr(chosen, name) for name in chosen.__dataclass_fields__})
    trained = pretext.fit("looped")

    assert {row["split"] for row in trained.history} == {"train"}
    assert trained.epochs == [2] * len(chosen.members)


@every_backend
def test_a_partner_that_is_shown_other_windows_learns_what_is_true_of_these(
    cotrained: Callable[[str], Any], backend: str
) -> None:
    chosen = cotrained("a partner that learns").only([0])

    class Told(Loss):
        """Remembers the targets of the network and of its partner."""

        @property
        def partner_sights(self) -> dict[str, tuple[str, ...]]:
            return {"peer": ("plain",)}

        def forward(self, said: Said, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            value = (batch.target_of("peer") != batch.target).float().mean() + 0.0 * said.plain.prediction.sum()
            return value, {"differ": value}

    chosen = chosen.but(own_losses={"told": Told}, settings=replace(chosen.settings, epochs=1, patience=None))
    target = chosen.windows.target
    order = torch.arange(len(target))
    labelled = torch.from_numpy(chosen.members[0].fold.labelled)
    order[labelled] = labelled[torch.argsort(target[labelled], descending=True, stable=True)]
    differ = float((target[order] != target)[labelled].float().mean())
    read = {name: replace(own, order=order[None]) for name, own in chosen.read_by_partners.items()}

    def difference(partners: Any) -> float:
        trained = loop.fit(chosen.ensemble(backend), chosen.windows, chosen.settings, partners=partners)
        return float(next(row["told.differ"] for row in trained.history if row["split"] == "train"))

    assert difference(chosen.read_by_partners) == 0.0
    assert differ > 0.2
    assert abs(difference(read) - differ) < 0.15

    sights = Sights(chosen.ensemble(backend).skeleton, chosen.windows, read, {}, chosen.members)
    index = labelled[:6][None]
    found = sights.quiz(index, "peer")
    assert torch.equal(found["quiz"].notes["target"], target[index])
    assert torch.equal(found["peer/quiz"].notes["target"], target[order[index]])


def test_a_partner_is_never_told_a_label_that_is_hidden(
    cotrained: Callable[[str], Any], half_labelled_members: list[Member]
) -> None:
    seen: list[Tensor] = []

    class Told(Loss):
        """Remembers what a partner may learn of unlabelled windows."""

        @property
        def partner_sights(self) -> dict[str, tuple[str, ...]]:
            return {"peer": ("plain",)}

        def forward(self, said: Said, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            seen.append((batch.target_of("peer") * (1 - batch.labelled)).sum().detach())
            return said.plain.prediction.square().mean(), {}

    chosen = cotrained("a partner that learns").but(members=half_labelled_members[:1], own_losses={"told": Told})
    chosen = chosen.but(taught=Taught(unlabelled=True), settings=replace(chosen.settings, epochs=1, patience=None))
    order = torch.arange(len(chosen.windows.target))[None]
    read = {name: replace(own, order=order) for name, own in chosen.read_by_partners.items()}

    loop.fit(chosen.ensemble("looped"), chosen.windows, chosen.settings, chosen.taught, partners=read)

    assert seen
    assert all(float(value) == 0.0 for value in seen)


def test_labels_teach_a_partner_what_it_is_shown_and_not_what_the_network_is_shown(
    cotrained: Callable[[str], Any],
) -> None:
    chosen = cotrained("a partner that learns").only([0]).but(own_losses={})
    chosen = chosen.but(losses={"hard": {}, "partner_hard": {"partner": "peer"}})
    chosen = chosen.but(settings=replace(chosen.settings, epochs=12, patience=None, learning_rate=0.02))
    target, labelled = chosen.windows.target, torch.from_numpy(chosen.members[0].fold.labelled)
    order = torch.arange(len(target))
    turned = labelled[torch.argsort(target[labelled], stable=True)]
    order[turned] = turned.flip(0)  # windows of one class are shown for those of the other
    read = {name: replace(own, order=order[None]) for name, own in chosen.read_by_partners.items()}

    trained = loop.fit(chosen.ensemble("looped"), chosen.windows, chosen.settings, partners=read)

    rows = [row for row in trained.history if row["split"] == "train"]
    (term,) = [name for name in rows[0] if name.endswith("peer")]
    assert float((target[order] != target)[labelled].float().mean()) > 0.5
    assert rows[-1][term] < 0.3
