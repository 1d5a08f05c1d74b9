"""Window sets on disk: Zarr, uncompressed, in chunks of whole windows, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from limbeck.errors import DataError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["load", "read_attributes", "save", "temporary_name", "write"]

_CHUNK_BYTES = 8 * 2**20
"""Bytes of whole windows in one stored chunk."""


def save(windows: xr.Dataset, path: str | Path, *, overwrite: bool = False) -> None:
    """Write a window set as one Zarr group, uncompressed, in chunks of whole windows, each with a checksum.

    The group appears under a temporary name beside `path` and is renamed when whole.

    Parameters
    ----------
    windows : xarray.Dataset
    path : path-like
    overwrite : bool
        Replace another window set that lies there. One with the same ``key`` is kept in any case.

    Raises
    ------
    DataError
        Something else lies at `path`.
    """
    path = Path(path)
    if path.exists():
        try:
            there = read_attributes(path)
        except DataError as error:  # whose it is cannot be told, so it stays
            raise DataError(f"{path.name} is no whole window set; remove it or choose another path.") from error
        else:
            if there.get("key") is not None and there.get("key") == windows.attrs.get("key"):
                return
            if not overwrite:
                raise DataError(f"{path.name} exists and holds other windows; remove it or choose another path.")
    path.parent.mkdir(parents=True, exist_ok=True)
    write(windows, path, replace=overwrite)


def load(path: str | Path) -> xr.Dataset:
    """Read a window set that :func:`save` wrote, whole, into memory.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    DataError
        Nothing is there, or it is damaged: a chunk is missing or differs from its checksum.
    """
    import xarray as xr
    import zarr

    path = Path(path)
    attributes = read_attributes(path)
    coordinates = attributes.pop("coordinates", [])
    variables = {}
    try:
        group = zarr.open_group(path, mode="r")
        for name in attributes.pop("variables"):
            array = cast("zarr.Array[Any]", group[name])
            dimensions = json.loads((path / name / "zarr.json").read_bytes())["dimension_names"]
            variables[name] = xr.Variable(dimensions, array[...], dict(array.attrs))
    except MemoryError:
        raise
    except Exception as error:  # whatever zarr makes of garbled bytes
        raise DataError(f"The windows in {path.name} are damaged ({type(error).__name__}: {error}).") from error
    del attributes["files"]
    data = {name: variable for name, variable in variables.items() if name not in coordinates}
    return xr.Dataset(data, {name: variables[name] for name in coordinates}, attributes)


def write(windows: xr.Dataset, path: Path, *, replace: bool = False) -> None:
    """Write under a temporary name and rename; if another process was quicker, its copy stays.

    Parameters
    ----------
    windows : xarray.Dataset
        With JSON values as attributes.
    path : Path
    replace : bool
        Whether to put it in the place of what lies there.
    """
    import zarr
    from zarr.codecs import Crc32cCodec

    temporary = temporary_name(path)
    try:
        group = zarr.create_group(temporary, zarr_format=3)
        for name, variable in windows.variables.items():
            values = np.ascontiguousarray(variable.to_numpy())
            rows = max(1, min(len(values), _CHUNK_BYTES // max(1, values[:1].nbytes)))
            array = group.create_array(
                str(name),
                shape=values.shape,
                dtype=values.dtype,
                chunks=(rows, *(max(1, size) for size in values.shape[1:])),
                compressors=[Crc32cCodec()],
                fill_value=0,
                dimension_names=[str(dimension) for dimension in variable.dims],
                attributes=dict(variable.attrs),
                config={"write_empty_chunks": True},  # so that a missing chunk is known to be a missing file
            )
            array[...] = values
        group.attrs.update(
            {
                **windows.attrs,
                "variables": [str(name) for name in windows.variables],
                "coordinates": [str(name) for name in windows.coords],
                "files": _files(temporary),
            }
        )
        if replace and path.exists():
            aside = temporary_name(path)
            path.rename(aside)
            temporary.rename(path)
            shutil.rmtree(aside)
        else:
            try:
                temporary.rename(path)
            except OSError:
                if not path.exists():
                    raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _files(path: Path) -> dict[str, int]:
    """Return the chunk files below a group with their sizes."""
    return {
        file.relative_to(path).as_posix(): file.stat().st_size
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.name != "zarr.json"
    }


def read_attributes(path: Path) -> dict[str, Any]:
    """Return a group's attributes after checking that every chunk is there at its full size."""
    document = path / "zarr.json"
    try:
        attributes = dict(json.loads(document.read_bytes())["attributes"])
        files = attributes["files"]
        attributes["variables"]
        for name, size in files.items():
            found = (path / name).stat().st_size
            if found != size:
                raise DataError(f"The windows in {path.name} are damaged: {name} has {found} bytes, not {size}.")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path.name} is not a whole window set ({type(error).__name__}: {error}).") from error
    return attributes


def temporary_name(path: Path) -> Path:
    """Return a name beside `path` that nobody else uses."""
    return path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex}.part")
