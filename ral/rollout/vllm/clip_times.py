"""A patch of vLLM that distinguishes videos, sent as embeddings, by their times.

vLLM 0.32 identifies such a video by embeddings and grid alone: the same frames at another rate would get the positions,
and the cached keys and values, of the first. With the patch its times are a field like these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vllm.model_executor.models import qwen2_vl
from vllm.multimodal.inputs import MultiModalFieldConfig
from vllm.multimodal.parse import DictEmbeddingItems

SECONDS = "second_per_grid_ts"


def keep_clip_times() -> None:
    """Make vLLM's parser of Qwen-VL's media take times of embedded videos as one of their fields, in this process."""
    parser: Any = qwen2_vl.Qwen2VLMultiModalDataParser
    usual: Callable[..., Any] = parser._parse_video_data

    def parse(self: Any, data: Any) -> Any:
        if not (isinstance(data, dict) and SECONDS in data):
            return usual(self, data)
        required, optional = self.embedding_field_sets("video")
        return DictEmbeddingItems(
            data,
            modality="video",
            required_fields=required,
            optional_fields=optional,
            fields_factory=with_seconds(self._spatial_merge_size),
        )

    parser._parse_video_data = parse


def with_seconds(merge: int) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Return vLLM's factory of the fields of Qwen-VL's media, with the times of videos added. merge: merge size."""
    usual = qwen2_vl._create_qwen2vl_field_factory(merge)

    def fields(inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {**usual(inputs), SECONDS: MultiModalFieldConfig.batched("video", keep_on_cpu=True)}

    return fields
