/* Which LoRAs and textual inversions a picture has, as A1111 names them in `parameters`: by a part
   of the SHA-256 of their files, by which catalogues find them. */
#ifndef AT_CLI_HASHES_H
#define AT_CLI_HASHES_H

#include <atelier/atelier.h>

/* 'Lora hashes: "name: 0123456789ab", TI hashes: "name: 0123456789", ', or ""; at_free frees it.
   A LoRA in safetensors goes by sshs_model_hash of its metadata, or by its tensors' bytes. */
char *cli_adapter_hashes(at_context *cx, const at_generation *made);

#endif
