"""Which feature of a network sums a window up, and which keeps its course in time; by model.

Known before a network is built, so that a recipe can name features without data.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["MAP_FEATURES", "SUMMARY_FEATURES", "TOKEN_FEATURES"]

SUMMARY_FEATURES: Mapping[str, str] = {
    "bdae": "shared",
    "cgan": "generated",
    "cnn_1d": "fc1",
    "cnn_lstm": "hidden",
    "cnn_rnn": "hidden",
    "cnn_svm": "joined",
    "deep_conv_net": "block4",
    "eegnet": "block2",
    "emotion_net_student": "hidden",
    "emotion_net_teacher": "hidden",
    "fear_cnn": "dense3",
    "fear_gru": "dense2",
    "fear_lstm": "dense2",
    "fear_student": "dense2",
    "fusion_cnn": "fused",
    "fusion_teacher": "fused",
    "lstm": "hidden",
    "masked_autoencoder": "embedding",
    "mlp": "hidden",
    "mt_nn": "trunk",
    "pain_attn_net": "flat",
    "pkdot_student": "joint",
    "pkdot_teacher": "joint",
    "sdt": "embedding",
    "shallow_conv_net": "power",
    "small_transformer": "embedding",
    "ssl_ecg": "embedding",
    "student_base": "embedding",
    "student_cnn": "embedding",
    "student_nano": "embedding",
    "student_small": "embedding",
    "student_tiny": "embedding",
    "tcn": "embedding",
    "tsception": "hidden",
    "xai_cnn": "hidden",
    "xai_mlp": "hidden",
    "xkd": "embedding",
    "zhang2022_lstm": "embedding",
    "zhang2022_student": "embedding",
    "zhang2022_teacher": "embedding",
    "zhang_lu_student": "hidden",
    "zhang_lu_teacher": "hidden",
    "zoo_ann": "dense2",
    "zoo_cnn": "dense1",
    "zoo_cnn_lstm": "dense2",
    "zoo_dnn": "dense1",
    "zoo_lstm": "dense2",
}
"""The feature that a model's head reads, or the last before it."""

MAP_FEATURES: Mapping[str, str] = {
    "cnn_1d": "conv2",
    "cnn_lstm": "conv2",
    "cnn_rnn": "conv",
    "deep_conv_net": "block3",
    "eegnet": "block1",
    "fear_cnn": "conv5",
    "fear_student": "conv3",
    "pain_attn_net": "encoder",
    "shallow_conv_net": "power",
    "ssl_ecg": "conv3",
    "student_base": "map",
    "student_nano": "map",
    "student_small": "map",
    "student_tiny": "map",
}
"""A feature with channels before time."""

TOKEN_FEATURES: Mapping[str, str] = {
    "emotion_net_student": "imf",
    "emotion_net_teacher": "imf",
    "lstm": "sequence",
    "sdt": "fused",
    "small_transformer": "tokens",
    "tcn": "sequence",
    "zhang2022_lstm": "sequence",
    "zhang2022_student": "sequence",
    "zhang2022_teacher": "sequence",
    "zhang_lu_student": "imf",
    "zhang_lu_teacher": "imf",
}
"""A feature with steps before width."""
