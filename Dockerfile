# A static binary in an empty image: no shell, no package manager, not root.
FROM rust:1.95-alpine AS build
RUN apk add --no-cache build-base
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY config config
COPY src src
RUN cargo build --locked --profile dist --features jemalloc --bin doorward

FROM scratch
# Providers with a public certificate are believed by these; without them the roots compiled in are used.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/target/dist/doorward /doorward
USER 65532:65532
# The default, loopback, would be out of reach from outside the container. The admin listener stays there: the health check is inside.
ENV DOORWARD_LISTEN=0.0.0.0:4180
EXPOSE 4180
HEALTHCHECK --interval=10s --timeout=3s --start-period=2s CMD ["/doorward", "health"]
ENTRYPOINT ["/doorward"]
