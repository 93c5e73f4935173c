"""A script that explores with several jobs, and has no guard around that: workers do not import it."""

from storagemod.explore import explore
from storagemod.scenario.fixtures import scenario_path

print(explore(scenario_path("reentry/withdraw_fixed"), tries=100, jobs=2).found.tries)
