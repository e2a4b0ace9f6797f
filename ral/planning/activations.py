"""The bytes that passes hold: tensors that a layer saves for its backward pass, logits, attention rows, caches.

They are counted from the operations of Transformers' layers under this project's attention. docs/planning.md has the
equations, tests/test_planning_memory.py compares them with the tensors that autograd saves.

Parameters of these functions: `decoder` and `architecture` are the shapes of a network (`ral.planning.architecture`),
`numbers` the bytes of each kind of number, `training` the way the policy is trained, `batch` the sizes of a batch
(`ral.planning.workload`); `tokens` is the number of tokens in one forward pass.
"""

from __future__ import annotations

from ral.planning.architecture import Architecture, Decoder
from ral.planning.workload import Batch, Numbers, Training

LOGITS_AT_ONCE = 1024
"""Response tokens whose logits exist at once (ral.ops.logprobs.CHUNK_TOKENS)."""
SCORES_AT_ONCE = {False: 2**22, True: 2**26}
"""Attention scores that exist at once on a CPU and on a GPU (ral.ops.attention.SCORES_AT_ONCE)."""
VOCABULARIES = 4
"""Tensors [tokens, vocabulary] in fp32 that exist at once: log-probs and three more, in forward and backward pass."""
OF_DISTILLATION = 9
"""Such tensors where two distributions are compared over the whole vocabulary."""
SCORE_TENSORS = 4
"""Tensors of the size of SCORES_AT_ONCE that exist at once while rows are computed."""
DRAW_BYTES = 36
"""Bytes for each logit while tokens are drawn: fp32 logits three times, fp64 probabilities three times."""
FIRST_ROOM = 64
"""Tokens of a response that the cache holds at first; it doubles when it is full (ral.models.attention)."""


def layer_bytes(decoder: Decoder, numbers: Numbers, adapters: bool = False) -> float:
    """Return the bytes that a decoder layer saves for its backward pass, for each token.

    It saves, of two norms, the input, the normalised output, and the copies of the output that mixed arithmetic casts
    for products; of attention, queries, keys, values and outputs; of the MLP, its four inner states. adapters: whether
    low-rank adapters are trained, not the weights themselves.
    """
    a, s, width = numbers.product, numbers.stream, decoder.width
    casts = (5 if numbers.mixed else 2) * a * width
    norms = 2 * norm_bytes(numbers, adapters) * width + casts
    attention = 3 * a * decoder.queries + (3 if numbers.mixed else 2) * a * decoder.keys
    heads = (s + a if numbers.mixed else 2 * s) * (decoder.queries + decoder.keys) if decoder.normed_heads else 0
    return float(norms + attention + heads + 4 * a * decoder.mlp)


def norm_bytes(numbers: Numbers, adapters: bool) -> int:
    """Return the bytes that a norm saves for each number: its input in fp32, and its output if its weight is trained.

    adapters: whether low-rank adapters are trained, so that the norm's weight is frozen.
    """
    scaled = 0 if adapters else numbers.stream
    return 4 + scaled


def layer_casts(architecture: Architecture, numbers: Numbers, training: Training) -> float:
    """Return the bytes of the weights of one layer that mixed arithmetic casts and keeps for the backward pass.

    0 where weights are not cast: without mixed arithmetic, and for weights in 4 bits or in the type of products.
    """
    if training.rank and numbers.base:
        return 0.0
    wide = (numbers.frozen if training.rank else numbers.trained) > numbers.product
    return architecture.counts.layers / architecture.decoder.layers * numbers.product if numbers.mixed and wide else 0.0


def saved(architecture: Architecture, tokens: int, numbers: Numbers, training: Training, on_gpu: bool = False) -> float:
    """Return the bytes that all layers hold at the end of a forward pass over `tokens` tokens.

    on_gpu: whether passes run on a GPU; inputs of layers that are moved to main memory then do not count.
    """
    decoder = architecture.decoder
    ends = (2 * numbers.stream + norm_bytes(numbers, bool(training.rank))) * decoder.width * tokens
    if not training.checkpointing:
        return decoder.layers * one_layer(architecture, tokens, numbers, training) + ends
    kept = 0.0 if training.aside and on_gpu else inputs_of_layers(decoder, tokens, numbers)
    return kept + ends


def one_layer(architecture: Architecture, tokens: int, numbers: Numbers, training: Training) -> float:
    """Return the bytes that one layer saves for its backward pass over `tokens` tokens, casts of its weights too."""
    own = layer_bytes(architecture.decoder, numbers, bool(training.rank)) * tokens
    return own + layer_casts(architecture, numbers, training)


def inputs_of_layers(decoder: Decoder, tokens: int, numbers: Numbers) -> float:
    """Return the bytes of the hidden states that enter all layers, which gradient checkpointing keeps."""
    return float(decoder.layers * numbers.stream * decoder.width * tokens)


def backward(architecture: Architecture, tokens: int, numbers: Numbers) -> float:
    """Return the bytes of the gradients of states in a layer's backward pass: inner states of the MLP and its input."""
    decoder = architecture.decoder
    return float(tokens * (3 * numbers.product * decoder.mlp + 2 * numbers.stream * decoder.width))


def weight_gradient(weights: int, numbers: Numbers, training: Training) -> float:
    """Return the bytes of the gradient of a matrix with `weights` weights, before it is added to the stored gradient.

    The gradient is in the type of the weights; where products cast these, it is there in the type of products as well.
    0 for frozen weights (under adapters).
    """
    if training.rank:
        return 0.0
    cast = numbers.product if numbers.mixed and numbers.trained > numbers.product else 0
    return float(weights * (cast + numbers.trained))


def written_out(decoder: Decoder, numbers: Numbers, training: Training) -> float:
    """Return the bytes of the largest matrix of a layer while it is unpacked from 4 bits for a product.

    It is there in the type of frozen weights and in that of products. 0 for weights that are not in 4 bits.
    """
    packed = training.rank and numbers.base
    return float(decoder.mlp * decoder.width * (numbers.frozen + numbers.product)) if packed else 0.0


def without_gradient(decoder: Decoder, tokens: int, numbers: Numbers) -> float:
    """Return the bytes that a pass without gradient holds: states between layers, a norm, inner states of one MLP."""
    return float(tokens * (4 * numbers.stream * decoder.width + 3 * numbers.product * decoder.mlp))


def logits(decoder: Decoder, answers: int, distilled: bool) -> float:
    """Return the bytes, in fp32, of the logits that exist at once and of the tensors computed from them.

    Logits of at most LOGITS_AT_ONCE tokens exist at once. answers: number of response tokens in the pass. distilled:
    whether two distributions over the vocabulary are compared.
    """
    tensors = OF_DISTILLATION if distilled else VOCABULARIES
    return float(min(answers, LOGITS_AT_ONCE) * decoder.vocabulary * 4 * tensors)


def scores(decoder: Decoder, batch: Batch, on_gpu: bool) -> float:
    """Return the bytes of the attention scores that exist at once while attention rows are computed.

    on_gpu: whether they are computed on a GPU.
    """
    most = batch.together * batch.response * decoder.heads * (batch.prompt + batch.response)
    return float(min(most, SCORES_AT_ONCE[on_gpu]) * 4 * SCORE_TENSORS)


def rows(batch: Batch, layers: int) -> float:
    """Return the bytes of the attention rows of a rank's batch, [layers, N, C, P + C] in fp32.

    layers: number of decoder layers with rows. N: responses; P, C: tokens of the longest prompt and response.
    """
    return 4.0 * layers * batch.prompts * batch.group * batch.response * (batch.prompt + batch.response)


def captured(decoder: Decoder, tokens: int, training: Training, numbers: Numbers) -> float:
    """Return the bytes of recorded queries and keys, without those that layers hold anyway, and of their gradients."""
    held = numbers.stream if training.checkpointing or numbers.mixed else 0
    return float(training.captured * tokens * (held + 4) * (decoder.queries + decoder.keys))


def cache(decoder: Decoder, prompts: int, batch: Batch, numbers: Numbers) -> float:
    """Return the bytes of the cache of keys and values in a rollout of `prompts` prompts.

    It holds each prompt once, and each response with the room that is allocated for it. States of linear attention are
    fp32: one for each response, and one for each prompt while they are copied.
    """
    room = FIRST_ROOM
    while room < batch.response:
        room *= 2
    tokens = prompts * (batch.prompt + batch.group * room)
    states = 4 * prompts * (batch.group + 1) * decoder.state
    return float(tokens * decoder.attending * 2 * decoder.keys * numbers.product + states)


def drawing(decoder: Decoder, responses: int) -> float:
    """Return the bytes of the logits of a decoding step of `responses` responses while tokens are drawn."""
    return float(DRAW_BYTES * responses * decoder.vocabulary)


def tower(architecture: Architecture, visual: int, numbers: Numbers, trained: bool) -> float:
    """Return the bytes that the vision tower's pass over `visual` visual tokens holds, pixels included.

    trained: whether the tower is trained. It then holds 44 bytes for each number of the width, and four inner states of
    the MLP, of every block: what autograd saved was 0.7 to 1.1 of that, by family; else the same as a decoder layer
    without gradient.
    """
    vision, a = architecture.vision, numbers.product
    patches = visual * vision.patches
    one = 44 * vision.width + 4 * a * vision.mlp if trained else 16 * vision.width + 3 * a * vision.mlp
    return float(patches * (4 * vision.values + one * (vision.depth if trained else 1)))


def embeddings(architecture: Architecture, tokens: int) -> float:
    """Return the bytes, in fp32, of the visual embeddings that a step keeps for `tokens` tokens of padded prompts."""
    return 4.0 * tokens * architecture.decoder.width * (1 + architecture.vision.deepstack)
