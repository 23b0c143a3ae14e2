"""The worker's door: what comes in over HTTP is checked here, what goes out is put into the protocol. No torch.

Nothing in this package may import torch: the door opens, and answers /health, before torch is imported.
"""
