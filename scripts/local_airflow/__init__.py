"""A whole Airflow on this machine: its home, its users, and the processes it is made of."""
