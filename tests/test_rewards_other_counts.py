"""Numbers that count another thing than asked, or tell a difference: judged by hand before the rules ran."""

from __future__ import annotations

import pytest

from ral.rewards.accuracy import accuracy
from ral.types import Example

CHILDREN = "How many children are there?"
RED = "How many red cars are there?"
CATS = "How many cats are visible?"
TALL = "How tall is the tree in meters?"
FAR = "How far is the tree from the house, in meters?"
SHARE = "What share of the pie is red?"
PRICE = "How much does the apple cost?"

# question ; gold ; right answers ; wrong answers
TABLE = (
    (CHILDREN, "5", "There are 5 children, including 2 girls.|5 children|5 children (3 boys and 2 girls)",
     "There are 5 people, including 2 children.|5 people, 2 of them children"
     "|There are 5 people, 2 of whom are children.|5 people (2 children, 3 adults)"
     "|There are 5 people and two are children|There are five people with two children"),
    (CHILDREN, "2", "There are 5 people, including 2 children.|Out of 5 people, 2 are children."
     "|There are 5 people, 2 of whom are children.|5 people (2 children and 3 adults)|2 children",
     "5 children, including 2 girls|2 more children than adults|2 fewer than in the other picture"),
    (RED, "3", "There are 3 red cars, 1 of which is dark.|Three red cars",
     "There are 3 cars, 1 of which is red.|3 cars, including 1 red one"),
    (RED, "1", "There are 3 cars, 1 of which is red.|Only one of the cars is red.|one red car",
     "3 cars, none of them red"),
    ("How many red and blue cars are there?", "5", "2 red cars and 3 blue cars, so 5|5", "3"),
    ("How many people are there?", "5", "There are 5 people, including 2 children.|5 people, 2 of them sitting", "2"),
    ("How many apples are there?", "12", "12|3 × 4 = 12", "Each of the 3 boxes has 4 apples"),
    ("How many apples are there?", "4", "4 apples", "Each of the 3 boxes has 4 apples"),
    (CATS, "2", "There are 2 cats.|2 cats and no dogs|There are no cats other than the 2 on the sofa.|2",
     "There are 2 dogs and no cats|There are 2 more cats than dogs.|2 more than dogs|There used to be 2 cats."),
    ("How many more cats than dogs are there?", "2", "2 more cats than dogs|2", "3"),
    ("How many cats were there at first?", "2", "There used to be 2 cats.|2", "3"),
    (TALL, "5", "5 m tall|The tree is 5 meters high.|5 m|5 meters from top to bottom|5 m from the ground to the top",
     "5 m wide|5 meters away|The tree is 5 meters from the house.|The trunk is 5 m thick"),
    (FAR, "5", "5 meters from the house|5 m away|5 m", "5 meters tall|5 m wide"),
    ("How long is the bridge in meters?", "500", "500 meters long|500 m from end to end", "500 meters wide|500 m high"),
    ("图中有多少个小孩？", "5", "有5个小孩，其中2个是女孩。", "一共有5个人，其中2个是小孩。"),
    ("图中有多少个小孩？", "2", "一共有5个人，其中2个是小孩。|2个", "有5个小孩，其中2个是女孩。"),
    ("图中有多少人？", "5", "一共有5个人，其中2个是小孩。|5人", "2个"),
    (SHARE, "25%", "25%|25 percent|25% of the pie is red", "It is 25% larger than the blue share.|25% more than blue"),
    (PRICE, "$5", "$5|5 dollars", "$5 more than the pear|$5 cheaper than the pear"),
    ("How much cheaper is the apple?", "$5", "$5 cheaper than the pear|$5", "$6"),
    ("By how much did sales grow?", "5%", "5% more than in 2019|5%", "6%"),
)  # fmt: skip
CASES = [
    (question, gold, answer, float(right))
    for question, gold, *both in TABLE
    for right, answers in zip((True, False), both, strict=True)
    for answer in answers.split("|")
]


@pytest.mark.parametrize(("question", "gold", "answer", "want"), CASES)
def test_numbers_count_what_is_asked(question: str, gold: str, answer: str, want: float):
    example = Example("u", question, gold, "numerical", options=())
    assert accuracy(example, f"<think>x</think><answer>{answer}</answer>") == want
