/* Files of torch.save (.pt, .pth, .bin, .ckpt): since 1.6 a zip archive of a pickle and the
   storages, before that three pickles, the object, the storages' names and their bytes. */
#ifndef AT_TORCH_FILE_H
#define AT_TORCH_FILE_H

#include "formats/weight_file.h"

bool at_torch_is_pickle(const at_mapping *mapping); /* by its first bytes */

/* Every tensor that the object holds, named by the keys on the way to it, joined by dots; what is
   in a "state_dict" is named from there. Texts and numbers become metadata under the same names.
   Nothing of the file is executed: pickle.h. Tensors stay mapped, views with steps are copied when
   asked for. Refused: big-endian files, TorchScript's, tensors outside their storage, objects that
   hold themselves. */
at_weight_file *at_torch_open_zip(at_context *cx, const char *path);
at_weight_file *at_torch_open_pickle(at_context *cx, const char *path);

#endif
