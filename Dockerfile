# The image of every Airflow process of the cluster (docker-compose.yaml), with the DAGs and plugins of this checkout.
#
# Why not `FROM apache/airflow`: that image carries its own versions of SQLAlchemy, Starlette, Pydantic and many others,
# which are not the ones that Bascule's tests ran with. Installing ours over them would break the image's set;
# installing only what is missing would run a mixture that nobody has tested. requirements-cluster.txt is one set,
# resolved together: each version of requirements.txt (so the ones that `make test` and `make demo` run with), plus
# Celery and FAB. pip checks every file of it against its hash.
FROM python:3.11.14-slim-bookworm

# Logs come out line by line. Airflow writes what it likes to write into its home, which is a tmpfs.
ENV AIRFLOW_HOME=/home/bascule/airflow \
    PYTHONPATH=/opt/bascule/plugins \
    PYTHONUNBUFFERED=1

# The browser of the functional test `webmail-in-a-browser` (`browser: /usr/bin/chromium` in the site file), and what the
# program needs that drives it.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends chromium fonts-dejavu-core libatomic1 \
 && rm -rf /var/lib/apt/lists/*

# The volumes of logs and reports take their owner from the image's directories.
RUN useradd --uid 50000 --create-home bascule \
 && install -d -o bascule -g bascule /opt/bascule /opt/bascule/logs /opt/bascule/reports

COPY requirements-cluster.txt /tmp/requirements-cluster.txt
# The file is complete, so pip has nothing to resolve (--no-deps); `pip check` sees that nothing is missing.
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
      -r /tmp/requirements-cluster.txt \
 && pip check \
 && rm /tmp/requirements-cluster.txt

COPY dags /opt/bascule/dags
COPY plugins /opt/bascule/plugins
COPY include /opt/bascule/include
COPY cluster /opt/bascule/cluster
# A checkout made with a narrow umask is readable in the image all the same; no process compiles a module again.
RUN chmod -R a+rX /opt/bascule \
 && python -m compileall -q /opt/bascule/dags /opt/bascule/plugins

USER bascule
WORKDIR /opt/bascule
ENTRYPOINT ["/opt/bascule/cluster/entrypoint.sh"]
CMD ["version"]
