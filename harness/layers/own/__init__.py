"""A layer of one's own, a class of Keras or PyTorch in a file, as an implementation: `harness check --layer FILE:CLASS`.

place.py         where the class is, and what is typed behind its name
construction.py  how it is made for a problem
calling.py       how it is called
parameters.py    which of its weights are W^Q, W^K, W^V and W^O, and in which form they are stored
torch_layer.py, keras_layer.py  what differs between the frameworks
examined.py      a layer that was made and called once: what it takes
session.py       the worker in which that happens
declared.py      the implementation that follows from it
"""

from harness.layers.own.declared import declared, load

__all__ = ["declared", "load"]
