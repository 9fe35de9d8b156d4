"""`exports`: how models are written for production."""

from typing import Literal

from distill.core.settings import Positive
from distill.core.validation import Strict


class ExportSettings(Strict):
    """How the teacher or student of this name becomes ONNX files, fp32 and INT8. All are exported, those without an entry too."""

    quantization: Literal["dynamic", "static"] = "dynamic"
    """How the INT8 file scales activations: `dynamic`, each batch by itself; `static`, once and for all, by calibration."""
    calibration_rows: Positive = 100
    """Static: how many rows of the validation split it is calibrated on; of training rows, where that is tried because
    a `dynamic` file loses too much."""
    keep_fp32: tuple[str, ...] = ()
    """Parts that the INT8 file leaves in fp32, by their names in torch: `classifier`, `encoder.layer.11`."""
    reduce_range: bool = False
    """7-bit weights, for CPUs with AVX2 or AVX-512 but without VNNI, whose 8-bit products overflow."""
