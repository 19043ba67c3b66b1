#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/runs.h"
#include "kernels/cpu/tables.h"

void at_generic_elementwise(at_kernels *table)
{
    table->runs = &at_runs_generic;
    at_cpu_elements(table);
    at_cpu_rows(table);
    at_cpu_group_norm(table);
    at_cpu_moving(table);
    at_cpu_lstm(table);
    at_cpu_backward(table);
}
