# Every serving role of homefeed in one image; the role is the first argument.
FROM golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -o /homefeed ./cmd/homefeed

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /homefeed /homefeed
ENTRYPOINT ["/homefeed"]
