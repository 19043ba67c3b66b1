"""tests/fixtures/networks/whisper_tiny_*: the network of whisper_tiny as CTranslate2's converter writes it."""

import ctranslate2
from ctranslate2.converters.transformers import WhisperLoader
from transformers import WhisperForConditionalGeneration

from common import FIXTURES, fresh_folder, report


class Loader(WhisperLoader):
    """The network alone: the fixture has no tokenizer."""

    def set_config(self, config, model, tokenizer):
        pass


def main():
    source = FIXTURES / "networks/whisper_tiny"
    for quantisation in ("float16", "int8"):
        model = WhisperForConditionalGeneration.from_pretrained(source)
        spec = Loader().get_model_spec(model)
        spec.register_vocabulary([str(i) for i in range(model.config.vocab_size)])
        spec.validate()
        spec.optimize(quantization=quantisation)
        folder = fresh_folder("networks", f"whisper_tiny_{quantisation}")
        spec._serialize(str(folder / "model.bin"))
        report(folder, f"ctranslate2 {ctranslate2.__version__}")


if __name__ == "__main__":
    main()
