# The production image: one binary on distroless, without shell or package manager.
#
#   docker build --build-arg REVISION="$(git rev-parse HEAD)" -t inventory-worker:0.1.0 .
#
# Not yet built by Docker. `make test` checks what can be checked without an engine
# (tests/it/container.rs), and `cargo build` of only the sources that .dockerignore lets through works.
#
# Pin the base images: a tag moves, a digest does not. To look the digests up:
#
#   docker buildx imagetools inspect rust:1.95-bookworm --format '{{.Manifest.Digest}}'
#   docker build --build-arg RUST_DIGEST=@sha256:… --build-arg RUNTIME_DIGEST=@sha256:… …

ARG RUST_IMAGE=rust:1.95-bookworm
ARG RUST_DIGEST=
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot
ARG RUNTIME_DIGEST=

FROM ${RUST_IMAGE}${RUST_DIGEST} AS build
# The TLS library is C; the image has a compiler for it.
WORKDIR /build
ENV CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never
# Dependencies first, in a layer that only a change of Cargo.toml or Cargo.lock rebuilds. Cargo
# needs every member of the workspace, and a file for every target that a manifest names.
COPY Cargo.toml Cargo.lock ./
COPY tools/bench/Cargo.toml tools/bench/
COPY tools/simulator/Cargo.toml tools/simulator/
RUN mkdir -p benches src/bin tools/bench/src tools/simulator/src tools/simulator/tests/injected_bugs \
    && echo 'fn main() {}' | tee build.rs src/main.rs src/bin/dynamodb-emulator.rs benches/core.rs \
        tools/simulator/tests/injected_bugs/main.rs >/dev/null \
    && touch src/lib.rs tools/bench/src/lib.rs tools/simulator/src/lib.rs \
    && cargo build --release --locked --no-default-features --bin inventory-worker
COPY build.rs ./
COPY proto proto
COPY schemas schemas
COPY src src
# What `build_info` and the labels say is running.
ARG REVISION=unknown
# The stubs are newer than the sources where these were checked out earlier.
RUN touch build.rs src/lib.rs src/main.rs \
    && INVENTORY_BUILD_REVISION="${REVISION}" \
        cargo build --release --locked --no-default-features --bin inventory-worker

FROM ${RUNTIME_IMAGE}${RUNTIME_DIGEST}
ARG REVISION=unknown
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="inventory-worker" \
      org.opencontainers.image.description="Reserves, confirms, cancels and restocks inventory from SQS FIFO: nothing sold twice, nothing lost" \
      org.opencontainers.image.source="https://github.com/inventory-worker/inventory-worker" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /build/target/release/inventory-worker /usr/local/bin/inventory-worker
COPY LICENSE /usr/share/doc/inventory-worker/LICENSE
# `nonroot` of distroless, by number, so that Kubernetes can verify that it is not root. Nothing is
# written: the root file system may be read-only.
USER 65532:65532
# HTTP and gRPC of `serve`, and the admin port.
EXPOSE 8080 50051 9090
STOPSIGNAL SIGTERM
# There is no shell and no curl: the binary is its own health check. Kubernetes has its own probes.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["/usr/local/bin/inventory-worker", "health"]
ENTRYPOINT ["/usr/local/bin/inventory-worker"]
CMD ["run"]
