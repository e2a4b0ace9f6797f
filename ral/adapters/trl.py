"""RAL's attention term in TRL: `RALTrainer` is `trl.GRPOTrainer` with Eq. 3 of RAL (arXiv 2602.04884) added.

    from ral.adapters.trl import RALTrainer

    trainer = RALTrainer(model, reward_funcs, args=GRPOConfig(num_iterations=2, ...), train_dataset=data)
    trainer.train()

The term is that of `algo=ral` (`ral.ops.objectives.attention_policy`), the token term TRL's own. Written for TRL 1.16
(the extra `trl`): it extends methods that are not part of TRL's public interface.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor
from trl import GRPOTrainer

from ral.adapters.tap import Tap, Tokens
from ral.errors import UserError, UserWarned
from ral.ops.attention import AttentionSpec
from ral.ops.divergence import DivergenceName
from ral.ops.objectives import attention_policy

OLD_ROWS = "old_attention_rows"
"""Key of a batch: attention rows [N L C K] of the policy that made it."""
BY_SEQUENCE = ("grpo", "sapo")
BY_TOKEN_OF_THE_STEP = ("dapo", "cispo", "vespo")
LOSSES = (*BY_SEQUENCE, *BY_TOKEN_OF_THE_STEP, "bnpo", "dr_grpo")
"""Values of GRPOConfig.loss_type for which the term is averaged over tokens as TRL's loss is."""


class RALTrainer(GRPOTrainer):
    """TRL's GRPOTrainer with the attention term of RAL (arXiv 2602.04884), Eq. 3, added to its loss.

    attention_coef: lambda_attn of Eq. 4. attention: layers, heads, query and keys of the attention policy; None for the
    paper's (the last layer, mean over heads). divergence: D of Eq. 3. All other arguments are those of GRPOTrainer. The
    metric attention_divergence is logged: mean over tokens, in nats.

    The term is the divergence from the attention at the weights that sampled, so it needs more than one update on a
    batch; it is zero, with a warning, where gradient_accumulation_steps is a multiple of steps_per_generation *
    num_iterations. The decoder's attention becomes SDPA. UserError, one line, for a loss_type outside of LOSSES and for
    layers that do not fit.
    """

    def __init__(
        self,
        *args: Any,
        attention_coef: float = 1.0,
        attention: AttentionSpec | None = None,
        divergence: DivergenceName = "jsd",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if self.loss_type not in LOSSES:
            raise UserError(f"loss_type={self.loss_type!r} is not supported: write one of {', '.join(LOSSES)}")
        self.attention_coef, self.divergence = attention_coef, divergence
        self.tap = Tap(self.accelerator.unwrap_model(self.model), attention or AttentionSpec())
        if not self._moves_between_updates:
            warnings.warn(
                "RALTrainer: one update on a batch, at the very weights that sampled it: the attention term is zero; "
                "write steps_per_generation * num_iterations above gradient_accumulation_steps",
                UserWarned,
                stacklevel=2,
            )

    @property
    def _moves_between_updates(self) -> bool:
        """Tell whether the weights at some updates on a batch are no longer those that sampled the batch."""
        updates = self.args.steps_per_generation * self.num_iterations
        return bool(self.args.gradient_accumulation_steps % updates)

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        """Return what TRL generates, with the attention rows of the policy that sampled it."""
        batch = super()._generate_and_score_completions(inputs)
        if self._moves_between_updates and self.model.training:
            batch[OLD_ROWS] = self._rows(batch).transpose(0, 1)  # TRL shuffles and cuts batches along the first axis
        return batch

    def _compute_loss(self, model: Any, inputs: Any) -> Tensor:
        """Return TRL's loss, and the attention term where the weights have moved since the batch was sampled."""
        if OLD_ROWS not in inputs:
            return super()._compute_loss(model, inputs)
        tokens = self._tokens(inputs)
        with self.tap.open(tokens):
            loss = super()._compute_loss(model, inputs)
        term = attention_policy(
            self.tap.captured(),
            inputs[OLD_ROWS].transpose(0, 1).contiguous(),
            inputs["advantages"],
            tokens.trained,
            self._weights(inputs, tokens.trained),
            coef=self.attention_coef,
            divergence=self.divergence,
        )
        total, count = term.metrics["attention_divergence"]
        gathered: Tensor = self.accelerator.gather(torch.stack([total, count.to(total.dtype)]).view(1, 2)).sum(0)
        self._metrics["train"]["attention_divergence"].append((gathered[0] / gathered[1].clamp_min(1)).item())
        return loss + term.value.to(loss.dtype)

    def _rows(self, batch: Any) -> Tensor:
        """Return the attention rows [L N C K] of a batch at the present weights, by passes of the usual size."""
        ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
        mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
        media = {name: batch[name] for name in MEDIA if name in batch}
        size, length = self.args.per_device_train_batch_size, batch["completion_ids"].shape[1]
        with torch.no_grad(), self.tap.open(self._tokens(batch)):
            self._get_per_token_logps_and_entropies(self.model, ids, mask, length, batch_size=size, **media)
        return self.tap.rows()

    def _tokens(self, batch: Any) -> Tokens:
        """Return which tokens of a batch count."""
        prompt, response = batch["prompt_mask"].bool(), batch["completion_mask"].bool()
        trained = response & batch["tool_mask"].bool() if "tool_mask" in batch else response
        config = self.tap.network.config
        names = ("image_token_id", "video_token_id", "image_token_index", "video_token_index")
        media = [i for name in names if (i := getattr(config, name, None)) is not None]
        visual = torch.isin(batch["prompt_ids"], torch.tensor(media, device=prompt.device, dtype=torch.long))
        return Tokens(prompt, response, trained, visual & prompt)

    def _weights(self, batch: Any, mask: Tensor) -> Tensor:
        """Return the weight [N C] of each token in a micro-batch's loss: TRL's own, by loss_type."""
        counted, parts = mask.float(), self.current_gradient_accumulation_steps
        if self.loss_type in BY_SEQUENCE:
            return counted / counted.sum(1, keepdim=True).clamp_min(1) / len(counted) / parts
        if self.loss_type == "bnpo":
            return counted / counted.sum().clamp_min(1) / parts
        if self.loss_type == "dr_grpo":
            return counted / (len(counted) * self.max_completion_length) / parts
        of_the_step = batch["num_items_in_batch"].clamp(min=1.0) / self.accelerator.num_processes
        return counted / (of_the_step * parts / self.args.steps_per_generation)


MEDIA = (
    *("pixel_values", "image_grid_thw", "num_images", "pixel_attention_mask", "spatial_shapes", "num_tiles"),
    *("image_sizes", "token_type_ids", "mm_token_type_ids", "image_position_ids"),
)
"""Keys of a batch that TRL hands a network beside its tokens."""
