"""A simulated subject that reaches: behaviour, neurons and spikes without an animal."""

from bmi_decoder.simulation.odoherty_file import write_odoherty
from bmi_decoder.simulation.population import Population, PopulationSettings
from bmi_decoder.simulation.provenance import provenance, reproduce, settings_from_provenance
from bmi_decoder.simulation.reaches import ReachSettings, ReachStream
from bmi_decoder.simulation.subject import SimulatedSubject, SubjectSettings, reach_stream, simulate

__all__ = [
    "Population",
    "PopulationSettings",
    "ReachSettings",
    "ReachStream",
    "SimulatedSubject",
    "SubjectSettings",
    "provenance",
    "reach_stream",
    "reproduce",
    "settings_from_provenance",
    "simulate",
    "write_odoherty",
]
