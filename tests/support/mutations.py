"""MUTATIONS: every fault that the gate must catch."""

from mutations_of_data import OF_DATA
from mutations_of_networks import OF_NETWORKS
from mutations_of_runs import OF_TABLES, OF_TRAINING

MUTATIONS = (*OF_NETWORKS, *OF_DATA, *OF_TRAINING, *OF_TABLES)
