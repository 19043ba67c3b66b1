/* Layouts by their path: a file, or the folder that Tencent publishes HunyuanDiT in. */
#include "base/file.h"
#include "models/layouts/layout.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The weights of the transformer in a folder, or in its t2i; of several what inference takes:
   hydit/config.py's --load-key. NULL: there are none. */
static char *find_transformer(at_context *cx, const char *path)
{
    static const char *const folders[] = {"", "t2i/"}, *const keys[] = {"ema", "module", "distill"};
    for (size_t f = 0; f < AT_COUNT(folders); f++)
        for (size_t k = 0; k < AT_COUNT(keys); k++) {
            char *file = at_format(cx, "%s/%smodel/pytorch_model_%s.pt", path, folders[f], keys[k]);
            if (file && at_file_exists(file)) return file;
            at_free(file);
        }
    return NULL;
}

bool at_layout_is_folder(at_context *cx, const char *path)
{
    char *file = at_folder_exists(path) ? find_transformer(cx, path) : NULL;
    at_free(file);
    return file != NULL;
}

/* A network of a folder that Transformers or Diffusers wrote, under today's names. */
static void add_network(at_context *cx, at_layout_part *part, const char *folder)
{
    char *file = at_path_join(cx, folder, "config.json");
    at_weights *weights = file ? at_weights_open(cx, folder) : NULL;
    at_layout *own = weights ? at_layout_of(cx, weights) : NULL;
    part->config = own ? at_json_read(cx, file) : NULL;
    if (own && strcmp(own->parts[0].class_name, part->class_name) == 0) {
        part->weights = own->parts[0].weights;
        own->parts[0].weights = NULL;
    } else if (weights && at_ok(cx)) {
        at_fail(cx, AT_ERROR_FORMAT, "%s: holds no %s", folder, part->class_name);
    }
    at_layout_free(own);
    at_weights_free(weights);
    at_free(file);
}

/* What lies beside the transformer's folder; what does not is missing when it is asked for. */
static void add_folders(at_context *cx, at_layout *l, const char *root)
{
    static const struct {
        const char *folder, *name, *class_name;
    } parts[] = {
        {"clip_text_encoder", "text_encoder", "BertModel"},
        {"mt5", "text_encoder_2", "T5EncoderModel"},
        {"sdxl-vae-fp16-fix", "vae", "AutoencoderKL"},
        {"tokenizer", "tokenizer", "BertTokenizer"},
        {"mt5", "tokenizer_2", "T5Tokenizer"},
    };
    for (size_t i = 0; i < AT_COUNT(parts) && at_ok(cx); i++) {
        char *folder = at_path_join(cx, root, parts[i].folder);
        bool network = strncmp(parts[i].name, "tokenizer", 9) != 0;
        if (folder && at_folder_exists(folder) && l->count < AT_LAYOUT_PARTS) {
            at_layout_part *part = &l->parts[l->count++];
            snprintf(part->name, sizeof part->name, "%s", parts[i].name);
            part->class_name = parts[i].class_name;
            if (network)
                add_network(cx, part, folder);
            else
                part->folder = at_copy_text(cx, folder);
            l->networks += network;
        }
        at_free(folder);
    }
}

/* "model-00001-of-00003.safetensors" gives 3; 0: no such name. */
static int shards_of(const char *path)
{
    const char *at = strrchr(path, '-'), *form = "-#####-of-#####.";
    if (!at || at - path < 9) return 0;
    for (const char *c = at - 9; *form; form++, c++)
        if (*form == '#' ? *c < '0' || *c > '9' : *c != *form) return 0;
    return (int)strtol(at + 1, NULL, 10);
}

at_layout *at_layout_open(at_context *cx, const char *path)
{
    int shards = at_folder_exists(path) ? 0 : shards_of(path);
    if (shards > 1)
        return at_fail(cx, AT_ERROR_FORMAT,
                       "%s: one of %d files that a model was cut into (give their folder or their "
                       "index; those of GGUF are put together with llama-gguf-split --merge)",
                       path, shards);
    char *found = at_folder_exists(path) ? find_transformer(cx, path) : NULL;
    at_weights *weights = at_weights_open(cx, found ? found : path);
    at_layout *l = weights ? at_layout_of(cx, weights) : NULL;
    if (weights && !l && at_ok(cx))
        at_fail(cx, AT_ERROR_UNSUPPORTED,
                "%s: not recognised as a checkpoint of any family that is known (its first tensor "
                "is %s)",
                path, at_weights_count(weights) ? at_weights_at(weights, 0)->name : "missing");
    if (l && found) {
        *strrchr(found, '/') = 0; /* up from model/pytorch_model_ema.pt */
        *strrchr(found, '/') = 0;
        add_folders(cx, l, found);
    }
    at_weights_free(weights);
    at_free(found);
    if (at_ok(cx)) return l;
    at_layout_free(l);
    return NULL;
}
