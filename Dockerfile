# docker build --tag ghcr.io/wsedge/wsedge:0.1.0 .
#   one image with the commands wsedge-operator, wsedge-relay and wsedge-statistics
# docker build --target examples --tag ghcr.io/wsedge/examples:0.1.0 .
#   the origin and the client of examples/
ARG PYTHON=python:3.11-slim

# Downloads every package with the version and hash of the lock; later stages install from these files only.
FROM ${PYTHON} AS wheels
COPY requirements.lock /src/
RUN pip download --no-cache-dir --disable-pip-version-check --only-binary :all: --no-deps --require-hashes \
      --requirement /src/requirements.lock --dest /wheels

# Compiles the relay's pump; with --build-arg COMPILED=false it stays plain Python and needs no compiler.
FROM wheels AS build
ARG COMPILED=true
RUN if [ "$COMPILED" = true ]; then \
      apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*; \
    fi
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY operator/ operator/
COPY proxy/ proxy/
COPY statistics/ statistics/
# The devcluster is not for use inside a cluster: leave out its package and its command.
RUN sed -i -e '/^wsedge-devcluster = /d' -e '/"devcluster\/wsedge_devcluster",/d' pyproject.toml
RUN python -m venv /opt/wsedge \
 && HATCH_BUILD_HOOK_ENABLE_CUSTOM=$COMPILED \
    /opt/wsedge/bin/pip install --no-cache-dir --disable-pip-version-check --no-index --find-links /wheels \
      ".[operator,relay,statistics]" \
 && /opt/wsedge/bin/pip uninstall --yes --quiet pip setuptools

FROM wheels AS build-examples
RUN python -m venv /opt/wsedge \
 && /opt/wsedge/bin/pip install --no-cache-dir --disable-pip-version-check --no-index --find-links /wheels websockets

FROM ${PYTHON} AS base
ENV PATH=/opt/wsedge/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# A number, because a kubelet verifies runAsNonRoot only of a numeric user. Any other works too: no program reads its name.
USER 65532:65532

FROM base AS examples
WORKDIR /examples
COPY --from=build-examples /opt/wsedge /opt/wsedge
COPY examples/ ./
CMD ["python", "-m", "quickstart.room"]

FROM base AS wsedge
LABEL org.opencontainers.image.title=wsedge org.opencontainers.image.licenses=Apache-2.0
COPY --from=build /opt/wsedge /opt/wsedge
WORKDIR /
CMD ["wsedge-relay", "--help"]
