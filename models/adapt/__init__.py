"""`python -m models adapt`: ten labelled photographs teach a bundle one structure, and nothing else is forgotten.

The story, in the order in which `run` tells it:

* `command` reads the command line.
* `places` knows where everything is written, and that nothing of others is replaced.
* `start` opens the bundle and the float weights that it was made from.
* `intake` finds the photographs in what people hand in, checks them, and shares them out in three parts: to learn
  from, to choose on, to report; `masks` asks whether what is drawn belongs to them.
* `replay` makes what must not be forgotten, and `learn` learns from both.
* `judge` chooses threshold and reporting on the second part, and says on the third whether the new bundle is better.
* `conversion` calls the room `convert` as a program: int8, the gate, the signature.
* `page` shows before and after.
"""
