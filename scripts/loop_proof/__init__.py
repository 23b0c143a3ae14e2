"""The proof that the loop closes: a skill that the shipped model was never taught, and the person who teaches it."""
