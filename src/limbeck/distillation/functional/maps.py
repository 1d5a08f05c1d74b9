"""Maps that bring a feature of the student and one of the teacher to one shape.

A map is joined to the student in training and left behind afterwards. Every map takes both features, since some change
the teacher's. Shapes are without the batch: ``(width,)`` or ``(channels, time)``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from torch import Tensor, nn

from limbeck.distillation.functional.weighting import resize_matrix
from limbeck.errors import LimbeckError, did_you_mean

__all__ = ["MAPS", "FeatureMap", "MapKind", "automatic_map", "build_map", "possible_maps"]

Shape = tuple[int, ...]

MOST_HIDDEN = 256
"""Width of the hidden layer of the map ``mlp``, unless the teacher's feature is narrower."""


class FeatureMap(nn.Module):
    """A map between two features; this one asks that they agree and changes nothing.

    Parameters
    ----------
    student_shape, teacher_shape : tuple of int
        Shapes of the two features, without the batch.

    Attributes
    ----------
    shape : tuple of int
        Shape of both features behind the map, without the batch.
    """

    takes = "features of one shape"

    def __init__(self, student_shape: Shape, teacher_shape: Shape) -> None:
        super().__init__()
        self.student_shape, self.teacher_shape = student_shape, teacher_shape
        self.shape = teacher_shape

    @staticmethod
    def joins(student: Shape, teacher: Shape) -> bool:
        """Return whether the map can bring such shapes together."""
        return student == teacher

    def forward(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """Return both features in one shape.

        Parameters
        ----------
        student : Tensor of shape (batch, *student_shape)
            The student's feature.
        teacher : Tensor of shape (batch, *teacher_shape) or (batch, width)
            The teacher's feature, as it is or flattened.

        Returns
        -------
        student, teacher : Tensor of shape (batch, *shape)
            The features to compare.
        """
        own = student.reshape(student.shape[0], *self.student_shape)
        taught = teacher.reshape(teacher.shape[0], *self.teacher_shape)
        return self.map_student(own), self.map_teacher(taught)

    def map_student(self, feature: Tensor) -> Tensor:
        """Return the student's feature (batch, *student_shape) as (batch, *shape)."""
        return feature

    def map_teacher(self, feature: Tensor) -> Tensor:
        """Return the teacher's feature (batch, *teacher_shape) as (batch, *shape)."""
        return feature

    def extra_repr(self) -> str:
        """Show the shapes in the layer table."""
        return f"{self.student_shape} and {self.teacher_shape} to {self.shape}"


class LinearMap(FeatureMap):
    """One linear layer from the flattened feature of the student to that of the teacher."""

    takes = "any features"

    def __init__(self, student_shape: Shape, teacher_shape: Shape) -> None:
        super().__init__(student_shape, teacher_shape)
        self.layer = nn.Linear(math.prod(student_shape), math.prod(teacher_shape))

    @staticmethod
    def joins(student: Shape, teacher: Shape) -> bool:
        """Return True: any two shapes."""
        return True

    def map_student(self, feature: Tensor) -> Tensor:
        """Return the student's feature through the layer, in the teacher's shape."""
        mapped: Tensor = self.layer(feature.flatten(1))
        return mapped.reshape(mapped.shape[0], *self.teacher_shape)


class PerceptronMap(FeatureMap):
    """Two linear layers with a ReLU between them, from one flattened feature to the other."""

    takes = "any features"

    def __init__(self, student_shape: Shape, teacher_shape: Shape) -> None:
        super().__init__(student_shape, teacher_shape)
        width = math.prod(teacher_shape)
        hidden = min(width, MOST_HIDDEN)
        self.layers = nn.Sequential(nn.Linear(math.prod(student_shape), hidden), nn.ReLU(), nn.Linear(hidden, width))

    @staticmethod
    def joins(student: Shape, teacher: Shape) -> bool:
        """Return True: any two shapes."""
        return True

    def map_student(self, feature: Tensor) -> Tensor:
        """Return the student's feature through the layers, in the teacher's shape."""
        mapped: Tensor = self.layers(feature.flatten(1))
        return mapped.reshape(mapped.shape[0], *self.teacher_shape)


class ConvolutionMap(FeatureMap):
    """A convolution over time from the student's channels to the teacher's, then the teacher's length.

    A longer series is averaged down, a shorter one interpolated.

    Parameters
    ----------
    student_shape, teacher_shape : tuple of int
        Shapes of the two features, without the batch.
    width : int
        Steps that the kernel spans, odd.
    """

    takes = "maps (channels, time)"
    resize: Tensor

    def __init__(self, student_shape: Shape, teacher_shape: Shape, *, width: int = 1) -> None:
        super().__init__(student_shape, teacher_shape)
        self.layer = nn.Conv1d(student_shape[0], teacher_shape[0], width, padding=width // 2)
        matrix = resize_matrix(student_shape[1], teacher_shape[1])
        self.register_buffer("resize", matrix.float(), persistent=False)

    @staticmethod
    def joins(student: Shape, teacher: Shape) -> bool:
        """Return whether both are maps."""
        return len(student) == len(teacher) == 2

    def map_student(self, feature: Tensor) -> Tensor:
        """Return the convolved feature at the teacher's length."""
        mapped: Tensor = self.layer(feature)
        return mapped if self.student_shape[1] == self.teacher_shape[1] else mapped @ self.resize.to(mapped)


class PoolMap(FeatureMap):
    """The longer of the two flattened features, averaged down to the length of the shorter; no parameters."""

    takes = "any features"
    resize: Tensor

    def __init__(self, student_shape: Shape, teacher_shape: Shape) -> None:
        super().__init__(student_shape, teacher_shape)
        lengths = math.prod(student_shape), math.prod(teacher_shape)
        self.shape = (min(lengths),)
        self.register_buffer("resize", resize_matrix(max(lengths), min(lengths)).float(), persistent=False)

    @staticmethod
    def joins(student: Shape, teacher: Shape) -> bool:
        """Return True: any two shapes."""
        return True

    def map_student(self, feature: Tensor) -> Tensor:
        """Return the flattened feature, averaged if it is the longer."""
        return self._shortened(feature.flatten(1))

    def map_teacher(self, feature: Tensor) -> Tensor:
        """Return the flattened feature, averaged if it is the longer."""
        return self._shortened(feature.flatten(1))

    def _shortened(self, rows: Tensor) -> Tensor:
        return rows if rows.shape[1] == self.shape[0] else rows @ self.resize.to(rows)


class InterpolationMap(FeatureMap):
    """The student's map at the teacher's length: averaged if it is longer, interpolated if shorter; no parameters."""

    takes = "maps (channels, time) of as many channels"
    resize: Tensor

    def __init__(self, student_shape: Shape, teacher_shape: Shape) -> None:
        super().__init__(student_shape, teacher_shape)
        matrix = resize_matrix(student_shape[1], teacher_shape[1])
        self.register_buffer("resize", matrix.float(), persistent=False)

    @staticmethod
    def joins(student: Shape, teacher: Shape) -> bool:
        """Return whether both are maps of as many channels."""
        return len(student) == len(teacher) == 2 and student[0] == teacher[0]

    def map_student(self, feature: Tensor) -> Tensor:
        """Return the feature at the teacher's length."""
        return feature if self.student_shape == self.teacher_shape else feature @ self.resize.to(feature)


class HalvesMap(FeatureMap):
    """The sum of the two halves of the teacher's feature, or one of them, beside the student's; no parameters.

    For a teacher that puts the tokens of two modalities behind each other where the student has one modality. The
    halves are those of the axis that is twice as long; of the flattened features, if no axis alone is.

    Parameters
    ----------
    student_shape, teacher_shape : tuple of int
        Shapes of the two features, without the batch.
    first, second : float
        By which the halves are multiplied.

    References
    ----------
    Liu, Jia, Wang, EmotionKD, ACM MM 2023, whose teacher's feature is twice as wide as the student's.
    """

    takes = "a teacher's feature twice as wide as the student's"

    def __init__(self, student_shape: Shape, teacher_shape: Shape, *, first: float = 1.0, second: float = 1.0) -> None:
        super().__init__(student_shape, teacher_shape)
        self.shape = student_shape
        self.first, self.second = first, second
        self.axis = _doubled_axis(student_shape, teacher_shape)

    @staticmethod
    def joins(student: Shape, teacher: Shape) -> bool:
        """Return whether the teacher's feature has twice as many numbers."""
        return math.prod(teacher) == 2 * math.prod(student)

    def map_teacher(self, feature: Tensor) -> Tensor:
        """Return the halves, weighted and added, in the student's shape."""
        whole = feature.flatten(1) if self.axis is None else feature
        first, second = whole.chunk(2, dim=1 if self.axis is None else self.axis + 1)
        return (self.first * first + self.second * second).reshape(feature.shape[0], *self.student_shape)


@dataclass(frozen=True)
class MapKind:
    """A map that a study can name.

    Attributes
    ----------
    help : str
        One line.
    map : type
        The module.
    options : mapping
        What it is built with.
    """

    help: str
    map: type[FeatureMap]
    options: Mapping[str, float] = field(default_factory=dict)


MAPS: Mapping[str, MapKind] = MappingProxyType(
    {
        "none": MapKind("both features as they are; their shapes must agree", FeatureMap),
        "linear": MapKind("one linear layer on the student's flattened feature", LinearMap),
        "mlp": MapKind("two linear layers with a ReLU between them on the student's flattened feature", PerceptronMap),
        "conv": MapKind("a 1x1 convolution over the student's channels, then the teacher's length", ConvolutionMap),
        "conv3": MapKind("the same with a kernel of 3 steps", ConvolutionMap, MappingProxyType({"width": 3})),
        "pool": MapKind("the longer flattened feature averaged down to the shorter; no parameters", PoolMap),
        "interpolate": MapKind("the student's map at the teacher's length; no parameters", InterpolationMap),
        "sum_halves": MapKind("the sum of the two halves of the teacher's feature; no parameters", HalvesMap),
        "first_half": MapKind(
            "the first half of the teacher's feature; no parameters", HalvesMap, MappingProxyType({"second": 0.0})
        ),
        "second_half": MapKind(
            "the second half of the teacher's feature; no parameters", HalvesMap, MappingProxyType({"first": 0.0})
        ),
    }
)
"""Maps by name; ``auto`` stands for ``none`` where shapes agree, else for ``conv`` (maps) or ``linear``."""


def build_map(name: str, student_shape: Sequence[int], teacher_shape: Sequence[int]) -> FeatureMap:
    """Return the map of a name between two features.

    Parameters
    ----------
    name : str
        A key of `MAPS`, or ``auto``.
    student_shape, teacher_shape : sequence of int
        Shapes of the two features, without the batch.

    Raises
    ------
    LimbeckError
        For an unknown name, or shapes that the map cannot join; the message names those that can.
    """
    student, teacher = tuple(student_shape), tuple(teacher_shape)
    if name == "auto":
        name = automatic_map(student, teacher)
    if name not in MAPS:
        raise LimbeckError(f"There is no map '{name}'.{did_you_mean(name, [*MAPS, 'auto'])}")
    kind = MAPS[name]
    if not kind.map.joins(student, teacher):
        raise LimbeckError(
            f"The map '{name}' joins {kind.map.takes}; found {student} of the student and {teacher} of the teacher. "
            f"These maps can join them: {', '.join(possible_maps(student, teacher))}."
        )
    return kind.map(student, teacher, **kind.options)


def automatic_map(student_shape: Shape, teacher_shape: Shape) -> str:
    """Return what ``auto`` stands for between two shapes."""
    if student_shape == teacher_shape:
        return "none"
    return "conv" if ConvolutionMap.joins(student_shape, teacher_shape) else "linear"


def possible_maps(student_shape: Shape, teacher_shape: Shape) -> tuple[str, ...]:
    """Return the names of the maps that can join two shapes."""
    return tuple(name for name, kind in MAPS.items() if kind.map.joins(student_shape, teacher_shape))


def _doubled_axis(student: Shape, teacher: Shape) -> int | None:
    """Return the one axis along which the teacher's feature is twice as long, all others being equal."""
    if len(student) != len(teacher):
        return None
    changed = [axis for axis, (own, other) in enumerate(zip(student, teacher, strict=True)) if own != other]
    return changed[0] if len(changed) == 1 else None
