"""The compiled passes over the rows of sparse matrices: the only files that know numba, one file a family.

Import a family inside the function that needs it, `from contagion_graph.kernels import row_sums`: numba is slow to
import.

A matrix is its three CSR arrays. `rows` are the rows to read, in ascending order, and `borders` cut that list into
a fixed number of chunks. Each row is summed in column order, each chunk in row order, and the chunks in their order,
so the result is the same to the last bit on any number of threads. The threads are our own (threads.py), and compiled
code lets others run beside it (`nogil`): the parallel loops of numba wait for each other in busy loops, may not be
entered by two threads at once, and have dropped what they should have written. Rows that are far apart are fetched
ahead of their turn: waiting for memory is most of the work.

numba keeps what it compiled in `__pycache__` by the file of the function alone: who changes a function that is
compiled into those of other files (compiling.py, or one that is imported from another family) deletes that folder.
"""
