"""How many floating-point operations a second this machine can do: what a share of its peak (MFU) is a share of."""

import math
import time
from typing import Any

import torch

# Dense bfloat16 operations a second with float32 sums, from NVIDIA's data sheets; the first name that fits counts.
DATASHEET = {
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "A6000": 155e12,
    "4090": 165e12,
    "3090": 71e12,
}


def peak() -> dict[str, Any]:
    """Return the operations a second that this machine can do: by data sheet on a GPU, else measured.

    Measured is the fastest of square products from 512 to 4096 in bfloat16 and float32, with torch's own number of threads.
    """
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        for known, operations in DATASHEET.items():
            if known in name:
                return {"operations": operations, "source": f"{name}, data sheet, bfloat16 dense"}
    found = {
        (size, dtype): _measured(size, dtype)
        for size in (512, 1024, 2048, 4096)
        for dtype in (torch.bfloat16, torch.float32)
    }
    (size, dtype), operations = max(found.items(), key=lambda each: each[1])
    return {"operations": operations, "source": f"measured, {size} square, {str(dtype).removeprefix('torch.')}"}


def _measured(size: int, dtype: torch.dtype) -> float:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    left, right = (torch.randn(size, size, dtype=dtype, device=device) for _ in range(2))
    best = math.inf
    for _ in range(4):
        began = time.perf_counter()
        product = left @ right
        float(product[0, 0])  # waits for a GPU
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best
