"""The drawn world: scenes of a few coloured shapes, their pictures, and what can truthfully be said about them."""
