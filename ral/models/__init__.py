"""The policy as a model: a multimodal LLM from a Hugging Face folder, its processor, and the forward passes we own."""

import logging

logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
# set before peft or Transformers imports it: it warns of a missing 4-bit kernel for CPUs, which nothing here uses
