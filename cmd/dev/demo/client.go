package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"google.golang.org/protobuf/proto"
)

// Client calls the API in protobuf over HTTP.
type Client struct {
	url  string
	http *http.Client
}

// NewClient makes a client of the API at url. A call takes 30 s at most.
func NewClient(url string) *Client {
	return &Client{url: url, http: &http.Client{Timeout: 30 * time.Second}}
}

// Call sends body, an encoded message, and decodes what is answered into answer. Any status but 200 is an error.
func (c *Client) Call(ctx context.Context, method, path, token string, body []byte, answer proto.Message) error {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	const protobuf = "application/x-protobuf"
	req.Header.Set("Content-Type", protobuf)
	req.Header.Set("Accept", protobuf)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	if err != nil {
		return fmt.Errorf("%s %s: reading the answer: %w", method, path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, path, resp.Status)
	}
	if err := proto.Unmarshal(b, answer); err != nil {
		return fmt.Errorf("%s %s: decoding the answer: %w", method, path, err)
	}
	return nil
}
