/* One file of weights, opened: what each format's reader gives to weights.c. */
#ifndef AT_WEIGHT_FILE_H
#define AT_WEIGHT_FILE_H

#include "base/json.h"
#include "formats/weights.h"

typedef struct at_weight_file {
    at_mapping *mapping;
    at_weight *tensors; /* sorted by offset; the names are owned */
    int64_t count;
    cJSON *metadata; /* an object of strings, or NULL */
} at_weight_file;

void at_weight_file_free(at_weight_file *file); /* NULL is fine */

#endif
