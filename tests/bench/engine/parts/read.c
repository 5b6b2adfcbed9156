/* Reads memory as fast as it can: `read THREADS BURST_BYTES`.

Each line on stdin, a number of seconds, is answered with a line of GB/s, one number for each burst of BURST_BYTES that was
read in that time. The bursts follow each other through 512 MiB on huge pages, so that none finds its bytes in a cache;
each thread reads one contiguous part of a burst into vector registers, on a processor of its own. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { MOST_THREADS = 64, LANES = 8 };
static const size_t BYTES = 1ul << 29;

typedef long long vec __attribute__((vector_size(64)));
static vec *data;
static vec sums[MOST_THREADS];
static long threads, burst, bursts;
static pthread_barrier_t asked;
static atomic_long arrived;
static int more;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

/* Waits for the others without sleeping: to be woken would take as long as to read a megabyte. */
static void meet(long *meetings) {
    long enough = ++*meetings * threads;
    atomic_fetch_add(&arrived, 1);
    while (atomic_load(&arrived) < enough) sched_yield();
}

/* The part-th of the processors that this process may use. Left to itself the kernel wakes threads on the one that woke
   them, and two threads that wait for each other may share it for long. */
static void settle(long part) {
    cpu_set_t allowed, one;
    pthread_getaffinity_np(pthread_self(), sizeof allowed, &allowed);
    int cpu = -1;
    for (long left = part % CPU_COUNT(&allowed); left >= 0; left -= CPU_ISSET(cpu, &allowed) != 0) cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    pthread_setaffinity_np(pthread_self(), sizeof one, &one);
}

static void read_part(long part, long number) {
    const vec *from = data + number % bursts * burst;
    long begin = burst * part / threads / LANES * LANES, end = burst * (part + 1) / threads / LANES * LANES;
    vec total[LANES] = {0};
    for (long i = begin; i < end; i += LANES)
        for (int lane = 0; lane < LANES; lane++) total[lane] += from[i + lane];
    for (int lane = 0; lane < LANES; lane++) sums[part] += total[lane];
}

static void *follow(void *argument) {
    settle((long)argument);
    for (long meetings = 0, number = 0;;) {
        pthread_barrier_wait(&asked);
        for (meet(&meetings); more; meet(&meetings)) {
            read_part((long)argument, number++);
            meet(&meetings);
        }
    }
    return NULL;
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    threads = atol(arguments[1]);
    burst = atol(arguments[2]) / sizeof(vec);
    bursts = BYTES / sizeof(vec) / burst;
    if (threads < 1 || threads > MOST_THREADS || burst < 1 || bursts < 1) return 2;
    data = aligned_alloc(1 << 21, BYTES);
    madvise(data, BYTES, MADV_HUGEPAGE);
    for (size_t i = 0; i < BYTES / sizeof(vec); i++) data[i] = (vec){(long long)i};
    pthread_barrier_init(&asked, NULL, threads);
    for (long part = 1; part < threads; part++) pthread_create(&(pthread_t){0}, NULL, follow, (void *)part);
    settle(0);
    double seconds;
    for (long meetings = 0, number = 0; scanf("%lf", &seconds) == 1;) {
        pthread_barrier_wait(&asked);
        double end = now() + seconds;
        for (more = 1, meet(&meetings); more; meet(&meetings)) {
            double began = now();
            read_part(0, number++);
            meet(&meetings);
            double over = now();
            printf("%.4f ", burst * sizeof(vec) / (over - began) / 1e9);
            more = over < end;
        }
        printf("\n");
        fflush(stdout);
    }
    return sums[0][0] == 1;
}
