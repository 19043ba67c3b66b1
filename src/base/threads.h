#ifndef AT_THREADS_H
#define AT_THREADS_H

/* Physical cores this process may run on: hyper-threads of one core count once, CPU affinity is
 * honoured. >= 1. */
int at_physical_cores(void);

/* Seconds of a clock that never goes back. */
double at_clock(void);

#endif
