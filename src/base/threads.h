#ifndef AT_THREADS_H
#define AT_THREADS_H

/* Physical cores this process may run on: hyper-threads of one core count once, CPU affinity is
 * honoured. >= 1. */
int at_physical_cores(void);

/* Gives the calling thread, which OpenMP's runtime may have bound to one processor, all of the
   process's: what it starts inherits them. */
void at_unbind_thread(void);

/* How many of `wanted` threads, the calling one among them, the system gives at once. OpenMP's
   runtime exits the process when it is given fewer than it asks for. */
int at_possible_threads(int wanted);

/* Seconds of a clock that never goes back. */
double at_clock(void);

#endif
