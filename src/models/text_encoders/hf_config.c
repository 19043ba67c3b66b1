#include "models/text_encoders/hf_config.h"

void at_config_ignore_hf(at_config *config)
{
    static const char *const keys[] = {
        /* about files and versions */
        "model_type", "transformers_version", "torch_dtype", "dtype", "name_or_path",
        "finetuning_task", "tokenizer_class", "task_specific_params", "id2label", "label2id",
        "problem_type", "prefix",
        /* training */
        "attention_dropout", "dropout", "dropout_rate", "classifier_dropout", "initializer_factor",
        "initializer_range", "gradient_checkpointing", "output_past", "tie_word_embeddings",
        "scale_decoder_outputs",
        /* generating and decoding, which encoders do not do */
        "use_cache", "is_encoder_decoder", "is_decoder", "decoder_start_token_id", "bos_token_id",
        "pad_token_id", "sep_token_id", "forced_bos_token_id", "forced_eos_token_id",
        "num_decoder_layers", "max_length", "min_length", "num_beams", "num_beam_groups",
        "temperature", "top_k", "top_p", "typical_p", "repetition_penalty", "length_penalty",
        "diversity_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size",
        "num_return_sequences", "suppress_tokens", "begin_suppress_tokens", "n_positions",
        "return_dict", "chunk_size_feed_forward", "use_bfloat16", "_attn_implementation_autoset",
        NULL};
    at_config_ignore(config, keys);
}
