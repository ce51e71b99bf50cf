"""The page in Airflow's UI that shows the day as the ledger knows it (`bascule_plugin` mounts it)."""
