/* Options of transformers' PretrainedConfig, and of the encoders, that do not change what an
 * encoder computes. */
#ifndef AT_HF_CONFIG_H
#define AT_HF_CONFIG_H

#include "base/json.h"

void at_config_ignore_hf(at_config *config);

#endif
