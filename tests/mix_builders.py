"""A profile to which curves can be added in no time: the tiny one with a phase model and few, short simulations."""

from dataclasses import replace

from dynaopt.phase_model import read_phase_model
from dynaopt.profile import Profile, Simulation

SIMULATION = Simulation(token_budgets=(512, 1024), max_num_seqs=64, requests_per_level=100)


def simulated(profile: Profile) -> Profile:
    """Return a profile of TP2 at 1,000 MHz and TP4 at 2,000 MHz as if its curves had been simulated."""
    names = {"model": profile.model, "gpu": profile.metadata.gpu, "max_frequency_mhz": 2000}
    model = read_phase_model("llama2-70b-h100").model_copy(update=names)
    metadata = profile.metadata.model_copy(update={"simulation": SIMULATION})
    return replace(profile, metadata=metadata, phase_model=model)
