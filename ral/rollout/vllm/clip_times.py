"""A patch of vLLM by which two videos sent as embeddings differ where only their times differ.

vLLM 0.32 identifies such a video by its embeddings and patch grid alone: the same frames at another frame rate would
get the positions, and the cached keys and values, of the first video. The patch adds the times to what identifies a
video.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vllm.model_executor.models import qwen2_vl
from vllm.multimodal.inputs import MultiModalFieldConfig
from vllm.multimodal.parse import DictEmbeddingItems

SECONDS = "second_per_grid_ts"


def keep_clip_times() -> None:
    """Make vLLM's parser of Qwen-VL's media, in this process, take embedded videos with their times."""
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
    """Return the factory with which vLLM makes the fields of Qwen-VL's media, the times of videos added.

    merge: patches along one side of a visual token.
    """
    usual = qwen2_vl._create_qwen2vl_field_factory(merge)

    def fields(inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {**usual(inputs), SECONDS: MultiModalFieldConfig.batched("video", keep_on_cpu=True)}

    return fields
