"""Products and layers where torch's usual path is not the fastest; each equals a plain version up to rounding.

dropout.py  dropout with cheap random bits, of values and of attention's probabilities
linear.py   the linear map through oneDNN on CPUs with AVX-512, and the activations that may follow it
packed.py   its weights kept in oneDNN's own layout, for inference with few rows
"""
