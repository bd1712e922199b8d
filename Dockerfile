# Three targets: `service`, the run-time image; `training`, which adds what training needs; and `ray`, a node of a
# Ray cluster, which adds Ray.
#
#   docker build --target service -t abacus .
#   docker build --target service --build-arg TORCH_INDEX_URL=<PyTorch's CPU index> -t abacus:cpu .

FROM python:3.11-slim AS service
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin abacus

# The packages come before the code: a change of code rebuilds no layer of theirs.
COPY pyproject.toml constraints.txt ./
ARG TORCH_INDEX_URL=
RUN if [ -n "$TORCH_INDEX_URL" ]; then \
        pip install --constraint constraints.txt --index-url "$TORCH_INDEX_URL" torch; \
    fi \
 && python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; print(*p['dependencies'], *p['optional-dependencies']['tracing'], sep='\n')" \
        > requirements.txt \
 && pip install --constraint constraints.txt --requirement requirements.txt

COPY service service
# What a fresh artifacts volume is filled with; compose mounts the volume over it, read-only.
COPY --chown=abacus:abacus artifacts /artifacts

USER abacus
ENV SERVICE_HOST=0.0.0.0 SERVICE_PORT=8000 SERVICE_ARTIFACTS=/artifacts
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f\"http://127.0.0.1:{os.environ['SERVICE_PORT']}/health/ready\", timeout=4)"]
ENTRYPOINT ["python", "-m", "service"]


FROM service AS training
USER root
ARG TORCH_INDEX_URL=
RUN if [ -n "$TORCH_INDEX_URL" ]; then \
        pip install --constraint constraints.txt --index-url "$TORCH_INDEX_URL" torchvision; \
    fi \
 && python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['train'], sep='\n')" \
        > requirements.txt \
 && pip install --constraint constraints.txt --requirement requirements.txt
COPY training training
RUN mkdir /data && chown abacus:abacus /data
USER abacus
ENV TRAINING_OUT=/artifacts TRAINING_DATA=/data TRAINING_CHECKPOINTS=/data/runs MPLCONFIGDIR=/tmp/matplotlib
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m", "training"]


FROM service AS ray
USER root
# KubeRay asks by wget whether a pod is ready.
RUN apt-get update && apt-get install --yes --no-install-recommends wget && rm -rf /var/lib/apt/lists/*
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['ray'], sep='\n')" \
        > requirements.txt \
 && pip install --constraint constraints.txt --requirement requirements.txt
COPY abacus_cli abacus_cli
COPY abacus_client abacus_client
COPY deploy/ray deploy/ray
USER abacus
HEALTHCHECK NONE
ENTRYPOINT ["ray"]
