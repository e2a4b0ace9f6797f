"""Nouns inside longer ones, and numbers, that an answer names or does not name: judged by hand."""

from __future__ import annotations

import pytest

from ral.evaluation.benchmarks.choice import letter
from ral.rewards.accuracy import accuracy
from ral.types import Example

KINDS = {"c": "multiple choice", "n": "numerical", "o": "OCR", "f": "free-form", "r": "regression"}
DOG_HOT_DOG_STAND = ("A. dog", "B. hot dog stand")
DOG_CAT = ("dog", "cat")
BUTTER_SANDWICH = ("butter", "peanut butter sandwich", "jam")
ORANGE_JUICE_STAND = ("orange", "orange juice stand", "apple")
APPLE_PINEAPPLE = ("A. apple", "B. pineapple", "C. apple pie")
CAR_FIRE_TRUCK = ("A. car", "B. fire truck", "C. truck")
BUS_BUS_STOP = ("A. bus", "B. bus stop", "C. bus station")
WOOD_GLASS = ("A. wood", "B. glass", "C. metal")
SUMMER_WINTER = ("A. summer", "B. winter")
HAPPY_SAD = ("happy", "sad")
EATING_PLAYING = ("eating", "playing", "sleeping")
NIKE_ADIDAS = ("A. Nike", "B. Adidas")
PIZZA_HOT_DOG = ("pizza", "hot dog", "sandwich")
POLICE_OFFICER_OFFICER = ("A. police officer", "B. officer", "C. doctor")
HOT_DOGS_HAN = ("热狗", "猫", "热狗摊")
FRUIT_HAN = ("苹果", "香蕉")
NEW_YORK_YORK = ("A. New York", "B. York", "C. London")
BEACH_BEACH_HOUSE = ("beach", "beach house", "forest")
DOG_CAR = ("A. dog", "B. cat", "C. car")
RED_BLUE = ("A. red", "B. blue", "C. green", "D. black")
ANIMALS = ("A. dog", "B. cat", "C. horse")
SOCCER_TENNIS = ("A. soccer", "B. tennis", "C. table tennis")
KITCHEN_BEDROOM = ("A. kitchen", "B. bedroom", "C. bathroom")
MAN_WOMAN = ("A. man", "B. woman", "C. fireman")
COLORS_HAN = ("A. 红色", "B. 蓝色", "C. 绿色")
ANIMALS_JA = ("A. 犬", "B. 猫", "C. 鳥")
ANIMALS_KO = ("A. 개", "B. 고양이")
COUNTS = ("2", "3", "5")
HALVES_OF_DAY = ("A. 10:30 AM", "B. 10:30 PM")
MORNINGS = ("A. 10:30 AM", "B. 11:30 AM")
THREE_COUNTS = ("A. 3", "B. 4", "C. 5")
FOUR_COUNTS = ("A. 3", "B. 4", "C. 5", "D. 6")
# (kind, options, gold, answers that are right)
RIGHT: list[tuple[str, tuple[str, ...], str, str]] = [
    ("c", DOG_HOT_DOG_STAND, "B", "It is a hot dog stand"),
    ("c", BUTTER_SANDWICH, "A", "It is butter. | There is butter on it"),
    ("c", BUTTER_SANDWICH, "B", "It is a peanut butter sandwich"),
    ("c", ORANGE_JUICE_STAND, "A", "It is an orange. | He eats the orange"),
    ("c", ORANGE_JUICE_STAND, "B", "It is an orange juice stand."),
    ("c", APPLE_PINEAPPLE, "C", "It is an apple pie"),
    ("c", APPLE_PINEAPPLE, "A", "It's an apple. | It's a red apple on a table"),
    ("c", APPLE_PINEAPPLE, "B", "It is a pineapple."),
    ("c", CAR_FIRE_TRUCK, "B", "It is a fire truck."),
    ("c", CAR_FIRE_TRUCK, "C", "It is a pickup truck."),
    ("c", CAR_FIRE_TRUCK, "A", "It is a car parked on the street"),
    ("c", BUS_BUS_STOP, "B", "It is a bus stop."),
    ("c", BUS_BUS_STOP, "A", "It's a yellow school bus. | The bus leaves the stop."),
    ("c", BUS_BUS_STOP, "C", "This is the bus station."),
    ("c", WOOD_GLASS, "A", "It is a wood table."),
    ("c", WOOD_GLASS, "B", "It's made of glass."),
    ("c", WOOD_GLASS, "C", "a metal fence"),
    ("c", SUMMER_WINTER, "A", "It is summer time."),
    ("c", SUMMER_WINTER, "B", "It's a winter scene."),
    ("c", HAPPY_SAD, "A", "He is happy today"),
    ("c", EATING_PLAYING, "A", "The man is eating pizza."),
    ("c", EATING_PLAYING, "B", "He is playing football"),
    ("c", NIKE_ADIDAS, "A", "It's a Nike shoe."),
    ("c", PIZZA_HOT_DOG, "B", "He eats a hot dog."),
    ("c", PIZZA_HOT_DOG, "C", "a ham sandwich"),
    ("c", POLICE_OFFICER_OFFICER, "A", "He is a police officer."),
    ("c", POLICE_OFFICER_OFFICER, "C", "The doctor smiles."),
    ("c", HOT_DOGS_HAN, "C", "它是热狗摊"),
    ("c", HOT_DOGS_HAN, "A", "这是热狗。"),
    ("c", FRUIT_HAN, "A", "这是一个苹果。"),
    ("c", FRUIT_HAN, "B", "图中的水果是香蕉。"),
    ("c", NEW_YORK_YORK, "A", "It is New York City."),
    ("c", BEACH_BEACH_HOUSE, "A", "a beach with people"),
    ("c", BEACH_BEACH_HOUSE, "C", "They walk through the forest."),
    ("c", DOG_CAR, "C", "a car"),
    ("c", RED_BLUE, "B", "B car la balle est bleue | B, car elle est bleue | B parce que c'est bleu | **Answer: B**"),
    ("c", RED_BLUE, "B", r"The correct option is **B. blue**. | \[\boxed{\text{B}}\] | Final Answer: (B)"),
    ("c", RED_BLUE, "B", "Option B: blue | I would go with B. | Ｂ．ｂｌｕｅ | （Ｂ）"),
    ("c", RED_BLUE, "D", "It's a black board."),
    ("c", ANIMALS, "A", "It's a brown dog. | The animal in the image is a small dog lying on the grass."),
    ("c", ANIMALS, "B", "The cat is asleep. | It is a cat, lying on a sofa."),
    ("c", SOCCER_TENNIS, "C", "They are playing table tennis."),
    ("c", SOCCER_TENNIS, "B", "It is a tennis match. | They are playing tennis on a court."),
    ("c", SOCCER_TENNIS, "A", "They are playing a soccer game."),
    ("c", KITCHEN_BEDROOM, "A", "This is a kitchen."),
    ("c", KITCHEN_BEDROOM, "B", "The room shown is a bedroom with a large window"),
    ("c", MAN_WOMAN, "C", "It is a fireman"),
    ("c", MAN_WOMAN, "A", "The person is a man wearing a hat."),
    ("c", COLORS_HAN, "B", "球是蓝色的。 | 选项B：蓝色 | 正确答案是B。"),
    ("c", COLORS_HAN, "A", "不是蓝色，是红色"),
    ("c", ANIMALS_JA, "A", "答えはAです。 | 犬です。"),
    ("c", ANIMALS_JA, "B", "正解は B です"),
    ("c", ANIMALS_KO, "A", "정답은 A입니다."),
    ("c", ANIMALS_KO, "B", "고양이입니다."),
    ("c", COUNTS, "B", "There are three people."),
    ("c", COUNTS, "C", "In total 5"),
    ("c", HALVES_OF_DAY, "B", "22:30 | 10:30 pm | It's 10:30 PM."),
    ("c", MORNINGS, "A", "10:30 | The time is 10:30"),
    ("c", THREE_COUNTS, "A", "There are three."),
    ("c", THREE_COUNTS, "C", "2 red plus 3 blue equals 5"),
    ("c", THREE_COUNTS, "B", "I can see four dogs in the picture"),
    ("c", FOUR_COUNTS, "C", "There are 5 dogs in the image. | 5 dogs: 3 brown and 2 white"),
    ("c", FOUR_COUNTS, "C", "3 brown and 2 white dogs, so 5 | five | There are five dogs."),
]
# the same, of answers that are wrong
WRONG: list[tuple[str, tuple[str, ...], str, str]] = [
    ("c", DOG_HOT_DOG_STAND, "A", "It is a hot dog stand | It is a hot dog"),
    ("c", DOG_CAT, "A", "It is a hot dog stand"),
    ("c", BUTTER_SANDWICH, "A", "It is peanut butter | There is peanut butter on it | a peanut butter sandwich"),
    ("c", BUTTER_SANDWICH, "B", "It is peanut butter | It is butter"),
    ("c", ORANGE_JUICE_STAND, "A", "It is orange juice | He drinks orange juice. | an orange juice stand"),
    ("c", ORANGE_JUICE_STAND, "B", "It is orange juice | It is an orange"),
    ("c", APPLE_PINEAPPLE, "A", "It is an apple pie | It is a pineapple. | It is apple juice."),
    ("c", CAR_FIRE_TRUCK, "C", "It is a fire truck. | There is a truck driver"),
    ("c", CAR_FIRE_TRUCK, "A", "A car wash"),
    ("c", BUS_BUS_STOP, "A", "It is a bus stop. | It is a bus driver"),
    ("c", HAPPY_SAD, "A", "unhappy"),
    ("c", EATING_PLAYING, "A", "He is not eating"),
    ("c", NIKE_ADIDAS, "A", "Nikes are shown"),
    ("c", PIZZA_HOT_DOG, "A", "It is a pizza box"),
    ("c", PIZZA_HOT_DOG, "B", "A hot dog bun"),
    ("c", POLICE_OFFICER_OFFICER, "B", "He is a police officer."),
    ("c", POLICE_OFFICER_OFFICER, "C", "doctor's office"),
    ("c", HOT_DOGS_HAN, "A", "它是热狗摊"),
    ("c", FRUIT_HAN, "A", "这是苹果树 | 这是苹果汁"),
    ("c", NEW_YORK_YORK, "B", "It is New York."),
    ("c", BEACH_BEACH_HOUSE, "A", "It is a beach house. | beach umbrella"),
    ("c", DOG_CAR, "A", "A car drives by | A car"),
    ("c", RED_BLUE, "A", "A car wash | The red ball is on the left of the blue ball"),
    ("c", RED_BLUE, "B", "The answer is not B | Either A or B | A. blue | The ball is reddish-blue."),
    ("c", RED_BLUE, "D", "It is a blackboard"),
    ("c", ANIMALS, "A", "It is a dog house. | a hot dog | The dog chases the cat | A dog food bowl"),
    ("c", ANIMALS, "C", "It is a sea horse | A horse trailer is shown."),
    ("c", ANIMALS, "B", "It's a cat toy"),
    ("c", SOCCER_TENNIS, "B", "They are playing table tennis."),
    ("c", KITCHEN_BEDROOM, "A", "It is a kitchen sink in the bathroom"),
    ("c", MAN_WOMAN, "A", "It is a fireman | A woman"),
    ("c", COLORS_HAN, "B", "答案是A | 不是蓝色"),
    ("c", ANIMALS_JA, "A", "猫です"),
    ("c", ANIMALS_KO, "B", "개입니다"),
    ("c", COUNTS, "A", "2 dogs and 3 cats | twelve"),
    ("c", HALVES_OF_DAY, "A", "10:30 | 10:30 p.m."),
    ("c", HALVES_OF_DAY, "B", "10:30"),
    ("c", MORNINGS, "B", "10:30"),
    ("c", THREE_COUNTS, "A", "Question 3 is unclear | maybe 3 | other than 3"),
    ("c", THREE_COUNTS, "B", "3 or 4"),
    ("c", FOUR_COUNTS, "A", "3 brown and 2 white dogs, so 5"),
    ("c", FOUR_COUNTS, "C", "fifteen"),
]


def scores(kind: str, options: tuple[str, ...], gold: str, answers: str, rules: str = "fixed") -> dict[str, float]:
    example = Example("e", "q", gold, KINDS[kind], options=options)
    said = answers.split(" | ")
    return {a: accuracy(example, f"<think>x</think><answer>{a}</answer>", rules=rules) for a in said}  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "options", "gold", "answers"), RIGHT)
def test_right_answers_earn_1(kind: str, options: tuple[str, ...], gold: str, answers: str) -> None:
    assert {a for a, score in scores(kind, options, gold, answers).items() if score != 1.0} == set()


@pytest.mark.parametrize(("kind", "options", "gold", "answers"), WRONG)
def test_wrong_answers_earn_0(kind: str, options: tuple[str, ...], gold: str, answers: str) -> None:
    assert {a for a, score in scores(kind, options, gold, answers).items() if score != 0.0} == set()


@pytest.mark.parametrize("answer", ["B. blue\n\nThe ball is blue.", "### Answer\nB", "# Answer\n\nB. blue"])
def test_headings_and_paragraphs(answer: str) -> None:
    assert scores("c", RED_BLUE, "B", answer) == {answer: 1.0}


@pytest.mark.parametrize(
    ("options", "text", "named"),
    [
        (("A. dog", "B. hot dog stand"), "It is a hot dog stand", "B"),
        (("A. dog", "B. cat"), "It is a hot dog stand", ""),
        (("A. dog", "B. cat"), "I see a brown dog here", "A"),
        (("A. dog", "B. cat"), "The picture shows a dog house", ""),
        (("A. tennis", "B. table tennis"), "In the video they play table tennis together", "B"),
    ],
)
def test_benchmarks_read_nouns_alike(options: tuple[str, ...], text: str, named: str) -> None:
    assert letter(text, options) == named
