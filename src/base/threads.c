#include "base/threads.h"
#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* The first processor in a "0,64" or "0-1" list of siblings stands for the core. */
static bool first_sibling(int cpu)
{
    char path[96];
    int first = cpu;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    FILE *f = fopen(path, "re");
    if (!f) return true;
    if (fscanf(f, "%d", &first) != 1) first = cpu;
    fclose(f);
    return first == cpu;
}

/* The processors of this process. Where OpenMP's runtime binds threads (OMP_PROC_BIND), it has left
   this one but one of them already: then those of all its places. */
static void find_processors(cpu_set_t *set)
{
    CPU_ZERO(set);
    sched_getaffinity(0, sizeof *set, set);
    for (int place = 0; place < omp_get_num_places(); place++) {
        int count = omp_get_place_num_procs(place), ids[CPU_SETSIZE];
        if (count > CPU_SETSIZE) continue;
        omp_get_place_proc_ids(place, ids);
        for (int i = 0; i < count; i++) CPU_SET(ids[i], set);
    }
}

int at_physical_cores(void)
{
    cpu_set_t set;
    int cores = 0;
    find_processors(&set);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &set)) cores += first_sibling(cpu);
    return cores > 0 ? cores : 1;
}

void at_unbind_thread(void)
{
    cpu_set_t set;
    find_processors(&set);
    sched_setaffinity(0, sizeof set, &set);
}

/* Waits until the gate opens. */
static void *wait_at(void *gate)
{
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

int at_possible_threads(int wanted)
{
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    pthread_t *threads = wanted > 1 ? calloc((size_t)wanted, sizeof *threads) : NULL;
    int made = 0;
    pthread_mutex_lock(&gate);
    while (threads && made < wanted - 1 &&
           pthread_create(&threads[made], NULL, wait_at, &gate) == 0)
        made++;
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < made; i++) pthread_join(threads[i], NULL);
    free(threads);
    return made + 1;
}

double at_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
