"""Windows of features as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limbeck.errors import DataError
from limbeck.windows.judging import worst_quality
from limbeck.windows.reading import modalities, table

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["feature_table"]


def feature_table(windows: xr.Dataset) -> pd.DataFrame:
    """List the windows with their features, a row each: for statistics of one's own, or to be written as CSV.

    Parameters
    ----------
    windows : xarray.Dataset
        As of :func:`cut`, with at least one modality of features.

    Returns
    -------
    pandas.DataFrame
        The columns of :func:`table`, ``<modality>_quality`` (the worst channel's, as recorded, where it was judged) and
        a column per feature, such as ``eeg.Fp1.bandpower.alpha`` (float32; NaN: it could not be computed).

    Raises
    ------
    DataError
        All modalities are samples.
    """
    import pandas as pd

    found = [modality for modality in modalities(windows) if "features" in windows[modality].attrs]
    if not found:
        raise DataError(
            f"These windows hold samples of {', '.join(modalities(windows))}, and no features; end their steps with "
            "{features: [...]}."
        )
    qualities = {
        f"{modality}_quality": worst_quality(windows, modality)[:, -1]
        for modality in found
        if f"{modality}_quality" in windows
    }
    columns = [
        pd.DataFrame(windows[modality].to_numpy(), columns=windows[modality].attrs["features"]) for modality in found
    ]
    return pd.concat([table(windows).assign(**qualities), *columns], axis=1)
