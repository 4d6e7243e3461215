"""Train on one GPU in minutes: a pretrained teacher and the fast U-Nets that learn from it, together, in PyTorch.

The order of the work: `pack` gathers pictures and masks into few files; `rendered` draws cracks and look-alikes
beforehand; `bank` holds everything in the GPU's memory; `scenes` cuts, pastes and colours whole batches there; `nets`
are the teacher and exact copies of the networks of `models.unet`; `losses` say what they learn; `inputs` reads and
checks what a run is given; `run` keeps to a time budget and saves; `journal` is its log; `transfer` brings weights from
and to Keras. Only `pack` and `transfer` need anything but PyTorch, NumPy and OpenCV. Never imported by what flies.
"""
