/* The context: one per thread of work. It keeps the first error, the settings, the memory pool, the
   callbacks, and owns every object made with it, so that at_context_free frees all of it.

   Errors stick (as in cairo): the first failure is kept with its message; from then on every
   function given this context returns NULL or does nothing, until at_error_clear. A program may
   therefore call a whole chain and look once, at the end.

   A context is used by one thread at a time. Only at_cancel may be called from another thread or
   from a signal handler. */
#ifndef ATELIER_CONTEXT_H
#define ATELIER_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define AT_API __attribute__((visibility("default")))
#define AT_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define AT_API
#define AT_PRINTF(f, a)
#endif

typedef struct at_context at_context;

typedef enum at_status {
    AT_OK,
    AT_ERROR_MEMORY,      /* the system or the budget has no more memory */
    AT_ERROR_ARGUMENT,    /* a caller's value is out of range */
    AT_ERROR_SHAPE,       /* tensors that do not fit together */
    AT_ERROR_DTYPE,       /* an element type that the operation does not take */
    AT_ERROR_FILE,        /* a file cannot be opened, read or written */
    AT_ERROR_FORMAT,      /* a file is damaged or not what it should be */
    AT_ERROR_UNSUPPORTED, /* a well-formed request that atelier does not do */
    AT_ERROR_CANCELLED,   /* at_cancel was called */
} at_status;

typedef enum at_device { AT_DEVICE_AUTO, AT_DEVICE_CPU, AT_DEVICE_CUDA } at_device;

/* Arithmetic of the heavy kernels (matrix product, convolution, attention). F32 is the reference
   that parity is judged in; AUTO takes the fastest that holds the quality bar on this machine. */
typedef enum at_precision {
    AT_PRECISION_AUTO,
    AT_PRECISION_F32,
    AT_PRECISION_BF16,
    AT_PRECISION_INT8
} at_precision;

/* Whose random stream makes the noise: torch's CPU generator (mt19937: what Diffusers and ComfyUI
   use) or its CUDA one (Philox: what A1111 used). */
typedef enum at_rng { AT_RNG_CPU, AT_RNG_CUDA } at_rng;

typedef enum at_log_level { AT_LOG_ERROR, AT_LOG_WARNING, AT_LOG_INFO, AT_LOG_DEBUG } at_log_level;

/* One line of text without a newline. Called on the thread that works. */
typedef void (*at_log_function)(void *user, at_log_level level, const char *text);

/* stage: "load", "encode", "denoise", "decode"; done of total units of it are finished. */
typedef void (*at_progress_function)(void *user, const char *stage, int done, int total);

/* Zeros mean the defaults. Threads are OpenMP's, which by default spin while they wait: in a
   program that shares its cores with others, set OMP_WAIT_POLICY=passive before it starts. */
typedef struct at_context_options {
    at_device device;
    at_precision precision;
    int threads;          /* 0: the physical cores */
    size_t memory_budget; /* bytes the pool may hold; 0: 7/8 of what is free now */
    at_log_function log;  /* NULL: warnings and errors go nowhere */
    at_progress_function progress;
    void *user; /* handed to both callbacks */
} at_context_options;

/* options may be NULL. NULL is returned only when there is no memory for the context itself; every
   function takes a NULL context as one that has failed. */
AT_API at_context *at_context_new(const at_context_options *options);

/* Frees the context and all that was made with it. NULL is fine. */
AT_API void at_context_free(at_context *cx);

AT_API bool at_failed(const at_context *cx);
AT_API at_status at_error_status(const at_context *cx);

/* "what: why (what to do)", or "" when nothing failed. Valid until the context changes. */
AT_API const char *at_error_text(const at_context *cx);
AT_API void at_error_clear(at_context *cx);

/* Makes the running operation stop with AT_ERROR_CANCELLED at its next step. Safe in signal
   handlers and from any thread. at_error_clear takes the request back. */
AT_API void at_cancel(at_context *cx);

/* Bytes that tensors hold now, and the most they ever held (pool memory; mapped files are not
 * counted). */
AT_API size_t at_memory_used(const at_context *cx);
AT_API size_t at_memory_peak(const at_context *cx);
AT_API void at_memory_peak_reset(at_context *cx); /* the peak from here on */

AT_API const char *at_version(void); /* "0.1.0" */

#ifdef __cplusplus
}
#endif
#endif
