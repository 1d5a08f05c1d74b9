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

from limbeck.distillation.losses import hard_target
from limbeck.errors import DataError, LimbeckError
from limbeck.models import Dropout
from limbeck.protocols import Fold
from limbeck.training import Ensemble, Member, Settings, Taught, Trained, draws, loop
from limbeck.training.loop import class_weights, predict, steps_per_epoch

BACKENDS = ("stacked", "looped")
every_backend = pytest.mark.parametrize("backend", BACKENDS)


def assert_same_states(
    found: Sequence[dict[str, Tensor]], expected: Sequence[dict[str, Tensor]], **tolerance: float
) -> None:
    torch.testing.assert_close(list(found), list(expected), **(tolerance or {"rtol": 1e-5, "atol": 1e-5}))


def largest_move(problem: Any, trained: Trained) -> float:
    """How far training has moved the weights: what agreement has to be measured against."""
    start = problem.ensemble("looped")
    names = dict(problem.build().named_parameters())
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
    network = problem.build().train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
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
            loss = loss + plain_teaching(problem, outputs, position, index, weights)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
        optimiser.step()
        if settings.schedule == "cosine":
            schedule.step()
    return dict(network.state_dict())


def plain_teaching(problem: Any, outputs: Any, position: int, index: Tensor, weights: Tensor) -> Tensor:
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
    projected = outputs.features[f"projected.{hint['student']}"]
    distance = nn.functional.mse_loss(projected, problem.taught.features[hint["teacher"]][position, index])
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

    changed = one.but(taught=Taught(logits, one.taught.features, unlabelled=True))

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
    logits, fused = taught_problem.taught.logits.clone(), taught_problem.taught.features["fused"].clone()
    (logits if name == "logits" else fused)[2, window, 0] = torch.nan

    with pytest.raises(DataError, match=f"teacher's {name} of repetition 0, fold 2, seed 3 are not finite"):
        taught_problem.but(taught=Taught(logits, {"fused": fused}, unlabelled=True)).fit()


def test_knowledge_that_is_missing_is_refused(taught_problem: Any) -> None:
    taught = taught_problem.taught

    with pytest.raises(DataError, match="takes the teacher's logits, but none"):
        taught_problem.but(taught=Taught(None, taught.features, True)).fit()
    # The projector is built from what is handed over, so the ensemble is built from the whole.
    with pytest.raises(DataError, match=r"features \['fused'\], but they were not"):
        loop.fit(
            taught_problem.ensemble("looped"),
            taught_problem.windows,
            taught_problem.criterion,
            taught_problem.settings,
            Taught(taught.logits, {}, True),
        )


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

    network = problem.build().eval()
    network.load_state_dict(ensemble.state_of(1))
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

    trained = loop.fit(ensemble, moved, problem.criterion, problem.settings)

    expected = problem.fit("looped").states
    assert_same_states(
        [{n: v.cpu() for n, v in state.items()} for state in trained.states], expected, rtol=1e-3, atol=1e-3
    )


def test_the_refit_on_everything_trains_like_any_fold(fold: Callable[..., Fold], problem: Any) -> None:
    """Its fold is numbered -1 and has neither validation nor test windows."""
    refit = problem.but(members=[Member(fold(-1), 0)])

    assert refit.fit().epochs == [4]
