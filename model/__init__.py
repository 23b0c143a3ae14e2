"""The network: LLaVA, its prompts, its engine and its worker. The only package that imports torch.

Shapes everywhere in this package use one legend:

    B  batch              T   text positions (image tokens included)
    P  patches a picture  N   pictures in a batch
    Dv vision width       Dt  text width
    V  vocabulary         H, W  pixels
"""
