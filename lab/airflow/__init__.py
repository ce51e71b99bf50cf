"""Airflow beside the practice site: its processes, the person who answers, and following its runs."""
