"""What all tests share: tiny models are slowed down by threads, so that every process computes with one."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
