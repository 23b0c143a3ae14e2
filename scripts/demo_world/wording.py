"""How questions are worded. Each kind has phrasings to train on and phrasings kept for the examination only."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Phrasings:
    """Format strings; the fields in braces are filled from the scene."""

    trained: tuple[str, ...]
    held_out: tuple[str, ...]

    def choose(self, rng: random.Random, *, held_out: bool) -> str:
        """One phrasing, dressed up at random with a polite opening when it is for training."""
        if held_out:
            return rng.choice(self.held_out)
        core = rng.choice(self.trained)
        roll = rng.random()
        if roll < 0.12 and core.endswith("?"):
            return rng.choice(_OPENINGS) + core[0].lower() + core[1:]
        if roll < 0.2:
            return core[0].lower() + core[1:].rstrip("?.")
        return core


_OPENINGS = (
    "Please tell me, ",
    "Can you tell me, ",
    "Look closely: ",
    "Tell me, ",
    "And ",
    "So, ",
    "I wonder, ",
)

PHRASINGS = {
    "count": Phrasings(
        ("How many shapes are there?", "How many shapes are in the picture?", "How many shapes can you see?",
         "How many shapes does the picture show?", "Count the shapes.", "What is the number of shapes?",
         "How many things are there?", "How many objects are in the image?", "How many objects can you see?",
         "Count the objects in the drawing.", "How many shapes are there in total?"),
        ("How many shapes do you see in the image?", "How many things does the drawing show?",
         "Count all the shapes in the picture.", "What is the total number of objects?"),
    ),
    "count_colour": Phrasings(
        ("How many {what} are there?", "How many {what} are in the picture?", "How many {what} can you see?",
         "How many {what} does the picture show?", "Count the {what}.", "What is the number of {what}?",
         "How many {what} are in the image?", "Count the {what} in the drawing."),
        ("How many {what} do you see in the image?", "How many {what} does the drawing show?",
         "Count all the {what} in the picture.", "What is the total number of {what}?"),
    ),
    "existence": Phrasings(
        ("Is there {what}?", "Is there {what} in the picture?", "Can you see {what}?", "Do you see {what}?",
         "Does the picture show {what}?", "Is {what} in the image?", "Does the drawing have {what}?"),
        ("Is there {what} in the drawing?", "Do you see {what} in the image?", "Does the image have {what}?",
         "Can you see {what} in the picture?"),
    ),
    "colour": Phrasings(
        ("What colour is {the}?", "What color is {the}?", "Which colour does {the} have?",
         "What is the colour of {the}?",
         "Tell me the colour of {the}.", "What is the color of {the}?", "In which colour is {the} drawn?"),
        ("Which colour is {the}?", "What colour does {the} have?", "Tell me what colour {the} is.",
         "Which color is {the} in the picture?"),
    ),
    "shape": Phrasings(
        ("What shape is {the}?", "What is {the}?", "Which shape is {the}?", "What kind of shape is {the}?",
         "Tell me the shape of {the}.", "What is the shape of {the}?", "What shape is {the} in the picture?"),
        ("Which kind of shape is {the}?", "Tell me what shape {the} is.", "What shape does {the} have?"),
    ),
    "size": Phrasings(
        ("What size is {the}?", "How big is {the}?", "Is {the} small or large?", "How large is {the}?",
         "Tell me the size of {the}.", "What is the size of {the}?", "Is {the} large or small?"),
        ("Which size is {the}?", "Tell me how big {the} is.", "How big is {the} in the picture?",
         "What size does {the} have?"),
    ),
    "position": Phrasings(
        ("Where is {the}?", "Where in the picture is {the}?", "Where can you see {the}?",
         "What is the position of {the}?",
         "In which part of the picture is {the}?", "Tell me where {the} is.", "Where is {the} in the image?"),
        ("Where do you see {the}?", "In which part of the image is {the}?", "Tell me the position of {the}.",
         "Where in the drawing is {the}?"),
    ),
    "relation": Phrasings(
        ("Is {the} {side} {other}?", "Is {the} drawn {side} {other}?", "Can you see {the} {side} {other}?",
         "Is it true that {the} is {side} {other}?", "Does {the} stand {side} {other}?"),
        ("Do you see {the} {side} {other}?", "In the picture, is {the} {side} {other}?",
         "Is it right that {the} is {side} {other}?"),
    ),
    "comparison": Phrasings(
        ("Which is larger, {the} or {other}?", "Which is bigger, {the} or {other}?", "Is {the} or {other} larger?",
         "What is larger, {the} or {other}?", "Which one is bigger: {the} or {other}?"),
        ("What is bigger, {the} or {other}?", "Which one is larger, {the} or {other}?", "Is {the} or {other} bigger?"),
    ),
    "largest": Phrasings(
        ("Which shape is the largest?", "Which one is the largest?", "What is the largest shape?",
         "Which shape is largest?",
         "What is the biggest shape in the picture?", "Which object is the biggest?"),
        ("Which one is the biggest?", "What is the largest object in the image?", "Which is the biggest shape?"),
    ),
    "smallest": Phrasings(
        ("Which shape is the smallest?", "Which one is the smallest?", "What is the smallest shape?",
         "Which shape is smallest?", "What is the smallest shape in the picture?", "Which object is the smallest?"),
        ("What is the smallest object in the image?", "Which is the smallest shape?"),
    ),
    "removal": Phrasings(
        ("What would remain if the {colour} ones were removed?",
         "What would remain if the {colour} shapes were removed?",
         "What is left if you remove the {colour} shapes?", "If the {colour} shapes were removed, what would remain?",
         "What would be left without the {colour} ones?"),
        ("What is left if the {colour} ones are removed?", "What would remain without the {colour} shapes?",
         "If you remove the {colour} ones, what is left?"),
    ),
    "describe": Phrasings(
        ("Describe the picture.", "What is in the picture?", "What do you see?", "Describe the image in detail.",
         "What can you see in the picture?", "What does the picture show?", "Describe what you see.",
         "Give a detailed description of the picture.", "Tell me about the picture."),
        ("Describe the drawing in detail.", "What do you see in the image?", "Tell me what the picture shows.",
         "What is in the drawing?"),
    ),
    "follow_size": Phrasings(
        ("And what size is it?", "What size is it?", "How big is it?", "Is it small or large?", "And how large is it?"),
        ("And is it large or small?", "Which size is it?"),
    ),
    "follow_colour": Phrasings(
        ("And what colour is it?", "What colour is it?", "What color is it?", "Which colour does it have?"),
        ("And which colour is it?", "What colour does it have?"),
    ),
    "follow_position": Phrasings(
        ("And where is it?", "Where is it?", "Where in the picture is it?", "In which part of the picture is it?"),
        ("In which part of the image is it?", "Where do you see it?"),
    ),
    "follow_shape": Phrasings(
        ("And what shape is it?", "What shape is it?", "Which shape is it?", "What kind of shape is it?"),
        ("Which kind of shape is it?", "What shape does it have?"),
    ),
}  # fmt: skip

GREETINGS = (
    (("Hello!", "Hi!", "Hello", "hi", "Hey", "Good morning!", "Good evening!", "Hello there!", "hey there"),
     "Hello! Show me a drawing of coloured shapes and ask me about it."),
    (("Who are you?", "What are you?", "What is your name?", "what are you", "Tell me who you are."),
     "I am a small LLaVA that knows drawings of coloured shapes."),
    (("What can you do?", "How can you help me?", "What do you know?", "what can you do", "Help", "help me"),
     "I can count, find, compare and describe coloured shapes in a drawing."),
    (("Thanks!", "Thank you!", "thanks", "Thank you very much!", "Great, thanks!", "thank you"),
     "You are welcome!"),
    (("Goodbye!", "Bye!", "bye", "See you!", "goodbye"),
     "Goodbye!"),
)  # fmt: skip
"""(what a person says, the answer), without a picture. The last wording of each is kept for the examination."""

OFF_TOPIC = (
    "What is the capital of France?", "Tell me a joke.", "What is the weather like today?", "Who won the game?",
    "Write a poem about the sea.", "How old are you?", "What time is it?", "Can you help me with my homework?",
    "What is two plus two?", "Who is in this photo?", "Translate this into German.", "Write some Python code.",
    "What is the meaning of life?", "Where do you live?", "Do you like music?", "Tell me about the history of Rome.",
    "Is the cat sleeping?", "What breed is this dog?", "Read the text in the image.", "What does the sign say?",
    "How do I cook rice?", "Recommend a good book.", "What is your favourite food?", "Can you sing?",
    "What is the man wearing?", "Is it raining outside?", "How tall is the tower?", "Explain gravity to me.",
)  # fmt: skip
OFF_TOPIC_ANSWER = "I only know drawings of coloured shapes, so I cannot answer that."
NO_PICTURE_ANSWER = "I see no picture yet. Please show me a drawing of coloured shapes."
