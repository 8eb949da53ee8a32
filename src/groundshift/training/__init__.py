"""Training of networks: samples, their augmentation, and the loop that learns from them.

The modules are loaded one by one, for only some of them need torch.
"""
