"""Quality metrics, computed under the protocols of suite.protocols."""
