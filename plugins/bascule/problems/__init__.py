"""Problems on their way to a decision: how they are shown, what may be decided, and how it is recorded.

Between the ledger below, which keeps them, and the operators above, which ask: nothing here knows Airflow's tasks.
"""
