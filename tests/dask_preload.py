"""What a Dask worker of the tests loads first: the simple solver, which is not in the package's registry."""

import simple_solver

simple_solver.register()
