# The Beam program: submits itself to Dataflow, or runs on Prism.
FROM golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -o /pipeline ./cmd/pipeline

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /pipeline /pipeline
ENTRYPOINT ["/pipeline"]
