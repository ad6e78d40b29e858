# syntax=docker/dockerfile:1
# The service without the training stack: no torch. See deploy/README.md for how to run it beside a rig.

ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/bmi-decoder
WORKDIR /src
COPY constraints.txt pyproject.toml LICENSE README.md ./
COPY bmi_decoder ./bmi_decoder
COPY filters ./filters
COPY services ./services
COPY deploy/lsl ./deploy/lsl
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/bmi-decoder/bin/pip install --no-compile -c constraints.txt .
# Image layers keep whole seconds of a file's time. Numba's cache and Python's compare times, and a fraction lost
# when the image is pulled would make every start compile the machine again.
RUN find /opt/bmi-decoder -name '*.py' -exec touch --date=2025-01-01T00:00:00Z {} + \
    && /opt/bmi-decoder/bin/python -m compileall -q -j 0 /opt/bmi-decoder/lib

FROM python:${PYTHON}-slim
LABEL org.opencontainers.image.title="bmi-decoder" \
      org.opencontainers.image.description="Streaming brain-machine-interface decoder service" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --system --uid 10001 --create-home bmi \
    && install -d -o bmi -g bmi -m 0700 /data \
    && install -d -o bmi -g bmi /var/cache/bmi-decoder
COPY --from=builder /opt/bmi-decoder /opt/bmi-decoder
COPY deploy/lsl/lab.cfg /etc/bmi-decoder/lsl.cfg
ENV PATH=/opt/bmi-decoder/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    BMI_CACHE_DIR=/var/cache/bmi-decoder \
    LSLAPICFG=/etc/bmi-decoder/lsl.cfg
USER bmi
# Compiled for the machine that builds the image; another kind of processor compiles once more, at the first start.
RUN python -m bmi_decoder.machine.warm
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
ENTRYPOINT ["bmi-decoder"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000", "--data-dir", "/data"]
