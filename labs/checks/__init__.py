"""One module a lab, ``labNN.py``: the laws that its exercises must satisfy."""
