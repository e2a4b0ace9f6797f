"""Entries of 90 kinds that people have, and what is right for each: (gold answer, media), or "BAD" and the words."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path
from typing import Any

from PIL import Image

HERE = "@FOLDER@"
Q: dict[str, Any] = {"question": "Which?", "answer": "B", "options": ["A. red", "B. blue"]}


def _png() -> str:
    file = io.BytesIO()
    Image.new("RGB", (56, 56), "red").save(file, "png")
    return base64.b64encode(file.getvalue()).decode()


PNG, NOISE = _png(), base64.b64encode(b"noise" * 18000).decode()


def write_media(folder: Path) -> None:
    """The files that the entries name; clips are not opened."""
    for name in (
        "a.png",
        "b.png",
        "c.png",
        "dir with space é 图.png",
        "UP.PNG",
        *(f"frames/{n:03}.jpg" for n in range(3)),
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (56, 56), "red").save(folder / name)
    (folder / "clip.mp4").write_bytes(b"not opened")
    os.symlink("a.png", folder / "link.png")


def _llava(text: str) -> list[dict[str, str]]:
    return [{"from": "human", "value": text}, {"from": "gpt", "value": "red"}]


TABLE: dict[str, tuple[dict[str, Any], Any]] = {
    "llava_clip_marked_as_image": ({"video": "clip.mp4", "conversations": _llava("<image>\nColor?")}, ("red", 1)),
    "llava_picture_marked_as_clip": (
        {"image": "a.png", "conversations": _llava("<video>\nColor?")},
        "BAD 1 place <video>, and no clip",
    ),
    "llava_two_marks_one_clip": (
        {"video": "clip.mp4", "conversations": _llava("<image>\n<image>\nColor?")},
        "BAD 2 places <video>, and 1 clip",
    ),
    "times_as_text": (
        {"question": "Color?", "answer": "red", "video": "clip.mp4", "video_start": "1", "nframes": " 4 "},
        ("red", 1),
    ),
    "times_as_words": (
        {"question": "Color?", "answer": "red", "video": "clip.mp4", "video_start": "one"},
        "BAD 'video_start': 'one' is not a number",
    ),
    "frames_as_a_fraction_in_text": (
        {"question": "Color?", "answer": "red", "video": "clip.mp4", "nframes": "4.5"},
        "BAD 'nframes': 4.5 is not a whole number",
    ),
    "segment_beside_a_clip": (
        {"question": "Color?", "answer": "red", "video": "clip.mp4", "segment": [1, 2]},
        "BAD 'segment': nothing reads it, and it looks like a part of the clip",
    ),
    "question_in_capitals": (
        {"Question": "Color?", "answer": "red", "image": "a.png"},
        "BAD 'question': missing, and nothing reads 'Question'",
    ),
    "question_as_query": ({"query": "Color?", "answer": "red"}, "BAD 'question': missing, and nothing reads 'query'"),
    "answer_as_response": (
        {"question": "Color?", "response": "red"},
        "BAD 'answer': missing, and nothing reads 'response'",
    ),
    "interleaved_images": (
        {
            "question": "Picture before: <image>\nPicture after: <image>\nWhat changed?",
            "answer": "color",
            "images": ["a.png", "b.png"],
        },
        ("color", 2),
    ),
    "more_placeholders_than_images": (
        {"question": "<image><image><image> What?", "answer": "red", "images": ["a.png"]},
        "BAD 3 places <image>, and 1 picture",
    ),
    "fewer_placeholders_than_images": (
        {"question": "<image> What?", "answer": "red", "images": ["a.png", "b.png"]},
        "BAD 1 place <image>, and 2 pictures",
    ),
    "image_pad_in_question": (
        {"question": "<|image_pad|> What?", "answer": "red", "image": "a.png"},
        "BAD the question holds the placeholder",
    ),
    "system_turn": (
        {
            "messages": [
                {"role": "system", "content": "Always answer in French."},
                {"role": "user", "content": [{"type": "image", "image": "a.png"}, {"type": "text", "text": "Color?"}]},
                {"role": "assistant", "content": "rouge"},
            ]
        },
        ("rouge", 1),
    ),
    "two_rounds": (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "image": "a.png"},
                        {"type": "text", "text": "Look at the left object, call it X."},
                    ],
                },
                {"role": "assistant", "content": "ok"},
                {"role": "user", "content": "What color is X?"},
                {"role": "assistant", "content": "red"},
            ]
        },
        ("red", 1),
    ),
    "msg_interleaved": (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "First:"},
                        {"type": "image", "image": "a.png"},
                        {"type": "text", "text": "Second:"},
                        {"type": "image", "image": "b.png"},
                        {"type": "text", "text": "Same?"},
                    ],
                },
                {"role": "assistant", "content": "no"},
            ]
        },
        ("no", 2),
    ),
    "msg_image_url": (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": "a.png"}},
                        {"type": "text", "text": "Color?"},
                    ],
                },
                {"role": "assistant", "content": "red"},
            ]
        },
        ("red", 1),
    ),
    "msg_trl_placeholder": (
        {
            "messages": [
                {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Color?"}]},
                {"role": "assistant", "content": "red"},
            ],
            "images": ["a.png"],
        },
        ("red", 1),
    ),
    "msg_video_segment": (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "video", "video": "clip.mp4", "video_start": 2.0, "video_end": 3.0, "nframes": 2},
                        {"type": "text", "text": "Color?"},
                    ],
                },
                {"role": "assistant", "content": "red"},
            ]
        },
        ("red", 1),
    ),
    "top_video_segment": (
        {"question": "Color?", "answer": "red", "video": "clip.mp4", "video_start": 2.0, "video_end": 3.0},
        ("red", 1),
    ),
    "msg_frames": (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "video", "video": ["a.png", "b.png", "c.png"]},
                        {"type": "text", "text": "Color?"},
                    ],
                },
                {"role": "assistant", "content": "red"},
            ]
        },
        ("red", 1),
    ),
    "picture_as_video": (
        {"question": "Order?", "answer": "red", "video": "a.png"},
        "BAD a.png is a picture, not a clip",
    ),
    "picture_as_path_of_a_video": (
        {"question": "Order?", "answer": "red", "path": "a.png", "data_type": "video"},
        "BAD a.png is a picture, not a clip",
    ),
    "video_as_frames": ({"question": "Order?", "answer": "red", "video": ["a.png", "b.png", "c.png"]}, ("red", 1)),
    "videos_as_nested_frames": (
        {"question": "Order?", "answer": "red", "videos": [["a.png", "b.png", "c.png"]]},
        ("red", 1),
    ),
    "video_folder": ({"question": "Order?", "answer": "red", "video": "frames"}, ("red", 1)),
    "sharegpt": (
        {
            "conversations": [{"from": "human", "value": "<image>Color?"}, {"from": "gpt", "value": "red"}],
            "image": "a.png",
        },
        ("red", 1),
    ),
    "b64_uri": ({**Q, "image": f"data:image/png;base64,{PNG}"}, ("B", 1)),
    "b64_big": ({**Q, "image": f"data:image/jpeg;base64,{NOISE}"}, "BAD 90000 bytes in the entry that are no picture"),
    "http": ({**Q, "image": "http://example.com/a.png"}, "BAD 'http://example.com/a.png' is not on this machine"),
    "file_uri": ({**Q, "image": f"file://{HERE}/a.png"}, ("B", 1)),
    "file_uri_rel": ({**Q, "image": f"file://{HERE}/a.png"}, ("B", 1)),
    "home": ({**Q, "image": "~/a.png"}, "BAD no such file"),
    "windows_path": ({**Q, "image": ".\\sub\\a.png"}, "BAD no such file"),
    "unicode_space": ({**Q, "image": "dir with space é 图.png"}, ("B", 1)),
    "uppercase_path": ({**Q, "path": "UP.PNG"}, ("B", 1)),
    "symlink": ({**Q, "image": "link.png"}, ("B", 1)),
    "path_spaces": ({**Q, "image": " a.png "}, ("B", 1)),
    "image_null_in_list": ({**Q, "images": ["a.png", None]}, "BAD null is no picture and no clip"),
    "image_empty_string": ({**Q, "image": ""}, "BAD '' is not a path"),
    "bytes_dict": ({**Q, "image": {"bytes": PNG, "path": "a.png"}}, ("B", 1)),
    "options_dict": (
        {"question": "Which?", "answer": "B", "options": {"A": "red", "B": "blue"}, "image": "a.png"},
        ("B", 1),
    ),
    "options_numbers": ({"question": "How many?", "answer": "B", "options": [1, 2, 3], "image": "a.png"}, ("B", 1)),
    "options_str": (
        {"question": "Which?", "answer": "B", "options": "A. red B. blue", "image": "a.png"},
        "BAD 'A. red B. blue' is one string, and is not a list of strings",
    ),
    "options_json_str": (
        {"question": "Which?", "answer": "B", "options": '["red","blue"]', "image": "a.png"},
        ("B", 1),
    ),
    "options_gap": (
        {"question": "Which?", "answer": "C", "options": ["A. red", "C. green", "D. blue"], "image": "a.png"},
        ("C", 1),
    ),
    "options_gap_D": (
        {"question": "Which?", "answer": "D", "options": ["A. red", "C. green", "D. blue"], "image": "a.png"},
        ("D", 1),
    ),
    "options_shuffled": (
        {"question": "Which?", "answer": "A", "options": ["B. blue", "A. red"], "image": "a.png"},
        ("A", 1),
    ),
    "options_lower": (
        {"question": "Which?", "answer": "b", "options": ["a. red", "b. blue"], "image": "a.png"},
        ("B", 1),
    ),
    "options_cn": ({"question": "哪个?", "answer": "B", "options": ["A、红色", "B、蓝色"], "image": "a.png"}, ("B", 1)),
    "options_fullwidth": (
        {"question": "哪个?", "answer": "Ｂ", "options": ["Ａ．红色", "Ｂ．蓝色"], "image": "a.png"},
        ("B", 1),
    ),
    "options_paren_cn": (
        {"question": "哪个?", "answer": "（B）", "options": ["（A）红色", "（B）蓝色"], "image": "a.png"},
        ("B", 1),
    ),
    "options_space_only": (
        {"question": "Which?", "answer": "B", "options": ["A red", "B blue"], "image": "a.png"},
        ("B", 1),
    ),
    "options_duplicate_text": (
        {"question": "Which?", "answer": "C", "options": ["red", "blue", "red"], "image": "a.png"},
        "BAD the right one occurs twice, as A and C",
    ),
    "options_dup_text_gold_text": (
        {"question": "Which?", "answer": "red", "options": ["red", "blue", "red"], "image": "a.png"},
        "BAD 'red' may be any of the options A, C",
    ),
    "options_empty_one": (
        {"question": "Which?", "answer": "B", "options": ["A. red", "B. blue", "C. "], "image": "a.png"},
        "BAD option 3, 'C.', has a letter and no text",
    ),
    "options_single_letters": (
        {"question": "Which plot?", "answer": "C", "options": ["A", "B", "C", "D"], "image": "a.png"},
        ("C", 1),
    ),
    "options_letters_as_text_shuffled": (
        {"question": "Which vitamin?", "answer": "B", "options": ["C", "D", "A", "B"], "image": "a.png"},
        "BAD 'B' may be any of the options B, D",
    ),
    "options_numeric_text_int_answer": (
        {"question": "How many?", "answer": 2, "options": ["3", "2", "1"], "image": "a.png"},
        ("B", 1),
    ),
    "answer_index": (
        {"question": "Which?", "answer": 1, "options": ["red", "blue"], "image": "a.png"},
        "BAD '1' is none of the options: a place counted from 0 or from 1",
    ),
    "options_numbered": (
        {"question": "Which?", "answer": "2", "options": ["1. red", "2. blue"], "image": "a.png"},
        ("B", 1),
    ),
    "options_under_choices": (
        {"question": "Which?", "answer": "B", "choices": ["red", "blue"], "image": "a.png"},
        ("B", 1),
    ),
    "options_in_fields": (
        {"question": "Which?", "answer": "B", "A": "red", "B": "blue", "image": "a.png"},
        ("B", 1),
    ),
    "answer_and_solution_differ": (
        {"question": "Color?", "answer": "red", "solution": "blue", "image": "a.png"},
        "BAD field 'solution': there is answer, too, and the two differ",
    ),
    "key_of_a_medium_misspelt": (
        {"question": "Color?", "answer": "red", "video": {"video": "clip.mp4", "video_stat": 1}},
        "BAD nothing reads the key 'video_stat' of a medium; did you mean video_start?",
    ),
    "answer_multi": (
        {"question": "Which?", "answer": "AB", "options": ["A. red", "B. blue", "C. x"], "image": "a.png"},
        "BAD 'AB' is none of the options but several",
    ),
    "answer_multi_comma": (
        {"question": "Which?", "answer": "A,C", "options": ["A. red", "B. blue", "C. x"], "image": "a.png"},
        "BAD 'A,C' is none of the options but several",
    ),
    "answer_list": (
        {"question": "Which?", "answer": ["red", "crimson"], "image": "a.png"},
        "BAD ['red', 'crimson'] is not text but 2 answers",
    ),
    "answer_int": ({"question": "How many?", "answer": 3, "image": "a.png"}, ("3", 1)),
    "answer_float": (
        {"question": "How many?", "answer": 3.0, "problem_type": "numerical", "image": "a.png"},
        ("3.0", 1),
    ),
    "answer_bool": ({"question": "Is it?", "answer": True, "image": "a.png"}, "BAD true is not text"),
    "answer_zero": ({"question": "How many?", "answer": 0, "problem_type": "numerical", "image": "a.png"}, ("0", 1)),
    "answer_empty": ({"question": "How many?", "answer": "", "image": "a.png"}, "BAD missing or empty"),
    "answer_boxed": (
        {"question": "How many?", "answer": "$\\boxed{\\frac{3}{4}}$", "problem_type": "numerical", "image": "a.png"},
        ("\\frac{3}{4}", 1),
    ),
    "answer_gsm": (
        {"question": "How many?", "answer": "3 + 4 = 7\n#### 7", "problem_type": "numerical", "image": "a.png"},
        ("7", 1),
    ),
    "answer_rolecontent": (
        {"question": "How many?", "answer": {"role": "assistant", "content": "3"}, "image": "a.png"},
        ("3", 1),
    ),
    "answer_chosen_text": (
        {"question": "Which?", "answer": "B) blue", "options": ["A) red", "B) blue"], "image": "a.png"},
        ("B", 1),
    ),
    "type_case": ({"question": "How many?", "answer": "3", "problem_type": "Numerical", "image": "a.png"}, ("3", 1)),
    "type_mc_hyphen": ({**Q, "problem_type": "multiple-choice", "image": "a.png"}, ("B", 1)),
    "type_mc_no_options": (
        {"question": "Which? A. red B. blue", "answer": "B", "problem_type": "multiple choice", "image": "a.png"},
        ("B", 1),
    ),
    "type_null": ({"question": "How many?", "answer": "3", "problem_type": None, "image": "a.png"}, ("3", 1)),
    "type_list": (
        {"question": "How many?", "answer": "3", "problem_type": ["numerical"], "image": "a.png"},
        "BAD unknown problem type ['numerical']",
    ),
    "options_null_mc": (
        {
            "question": "Which? A. red B. blue",
            "answer": "B",
            "options": None,
            "problem_type": "multiple choice",
            "image": "a.png",
        },
        ("B", 1),
    ),
    "options_empty": ({"question": "How many?", "answer": "3", "options": [], "image": "a.png"}, ("3", 1)),
    "question_empty": ({"question": "", "answer": "3", "image": "a.png"}, "BAD missing or empty"),
    "question_only_placeholder": ({"question": "<image>", "answer": "3", "image": "a.png"}, "BAD missing or empty"),
    "question_list": ({"question": ["a", "b"], "answer": "3", "image": "a.png"}, "BAD ['a', 'b'] is not text"),
    "jinja": (
        {"question": "Solve {{ 7*7 }} and {% for x in y %} and ${oc.env:HOME} {0}", "answer": "49", "image": "a.png"},
        ("49", 1),
    ),
    "nul": (
        {"question": "a\x00b what?", "answer": "3", "image": "a.png"},
        "BAD 'a\\x00b what?' holds the control character U+0000",
    ),
    "nul_path": ({**Q, "image": "a\x00.png"}, "BAD no such file"),
    "dup_id1": ({"id": 7, **Q, "image": "a.png"}, ("B", 1)),
    "dup_id2": (
        {"id": 7, "question": "Other?", "answer": "A", "options": ["A. red", "B. blue"], "image": "b.png"},
        ("A", 1),
    ),
    "id_list": ({"id": [1], **Q, "image": "a.png"}, ("B", 1)),
    "long_question": ({"question": "word " * 60000, "answer": "3", "image": "a.png"}, "BAD prompt and response take"),
    "many_images": (
        {"question": "How many?", "answer": "40", "problem_type": "numerical", "images": ["a.png"] * 40},
        ("40", 40),
    ),
    "text_only_no_images_key": ({"question": "2+2?", "answer": "4"}, "BAD no picture and no clip"),
    "think_tag_in_question": (
        {"question": "What does <think> mean and </answer>?", "answer": "3", "image": "a.png"},
        ("3", 1),
    ),
    "answer_tag_open_only": (
        {"question": "What?", "answer": "<answer>3", "image": "a.png"},
        "BAD '<answer>3' holds a tag without its other half",
    ),
    "answer_two_blocks": (
        {"question": "What?", "answer": "<answer>3</answer><answer>4</answer>", "image": "a.png"},
        "BAD '<answer>3</answer><answer>4</answer>' holds 2 different ans",
    ),
    "image_and_images": ({**Q, "image": "a.png", "images": ["a.png"]}, ("B", 1)),
    "image_and_path_same": ({**Q, "image": "a.png", "path": "a.png"}, ("B", 1)),
}
