"""How fast this machine reads memory: the denominator of what a decode step can reach.

    PYTHONPATH=tests .venv/bin/python tests/bench/engine/limit.py

A small C program sums an array of 512 MiB on huge pages in vector registers, each thread its own part, and gives the
best of many short passes.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from bench.engine.parts import report

PROGRAM = r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
typedef long long vec __attribute__((vector_size(64)));
static vec *data; static size_t count; static int threads; static pthread_barrier_t barrier; static vec sums[64];
static void *read_part(void *arg) {
    long part = (long)arg;
    size_t begin = count * part / threads / 8 * 8, end = count * (part + 1) / threads / 8 * 8;
    for (int pass = 0; pass < PASSES; pass++) {
        vec total[8] = {0};
        pthread_barrier_wait(&barrier);
        for (size_t i = begin; i < end; i += 8)
            for (int k = 0; k < 8; k++) total[k] += data[i + k];
        for (int k = 0; k < 8; k++) sums[part] += total[k];
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
int main(int argc, char **argv) {
    pthread_t ids[64]; double best = 1e9; size_t bytes = 1ull << 29;
    threads = atoi(argv[1]); count = bytes / sizeof(vec);
    data = aligned_alloc(1 << 21, bytes);
    madvise(data, bytes, MADV_HUGEPAGE);
    for (size_t i = 0; i < count; i++) data[i] = (vec){(long long)i};
    pthread_barrier_init(&barrier, NULL, threads + 1);
    for (long i = 0; i < threads; i++) pthread_create(&ids[i], NULL, read_part, (void *)i);
    for (int pass = 0; pass < PASSES; pass++) {
        pthread_barrier_wait(&barrier);
        double began = now();
        pthread_barrier_wait(&barrier);
        double taken = now() - began;
        if (taken < best) best = taken;
    }
    for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
    printf("%.4f %lld\n", bytes / best / 1e9, (long long)sums[0][0]);
}
"""
PASSES = 40


def bandwidth(threads: int) -> float:
    """GB/s that so many threads read."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "read"
        flags = ("-O3", "-march=native", f"-DPASSES={PASSES}", "-pthread", "-x", "c", "-")
        subprocess.run(("cc", *flags, "-o", str(program)), input=PROGRAM, text=True, check=True)
        told = subprocess.run((str(program), str(threads)), capture_output=True, text=True, check=True).stdout
    return float(told.split()[0])


def main() -> None:
    rates = {threads: bandwidth(threads) for threads in (1, 2)}
    report.table(("threads", "GB/s"), list(rates.items()))
    report.save("limit", {"gigabytes_per_second": rates})


if __name__ == "__main__":
    main()
