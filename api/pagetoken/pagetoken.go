// Package pagetoken makes page tokens (AIP-158): opaque to clients, of use only for the request that they continue, and
// with all in them that a later page needs, so any instance of the API can go on where another stopped.
package pagetoken

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// Token is where a page ends, and the snapshot that the pages after it show.
type Token struct {
	Version string           `json:"v"`           // of the placements
	Now     int64            `json:"t"`           // of the first page, in Unix ms
	AsOf    map[string]int64 `json:"a,omitempty"` // the generation of each shelf, in Unix ms
	Shelves []string         `json:"s,omitempty"` // of the pages before
	Shown   []uint32         `json:"c,omitempty"` // home.Hash of the cards before: of all shelves, or of the one
	First   int              `json:"f,omitempty"` // of one shelf: how many cards the pages before had
}

// ErrInvalid says that a token is none of these, or continues another request.
var ErrInvalid = errors.New("page_token: want the next_page_token of the same request")

// maxToken bounds what Open decodes.
const maxToken = 12 << 10

// Sealer seals and opens tokens. It is safe for concurrent use.
type Sealer struct{ aead cipher.AEAD }

// New makes a Sealer whose secret every instance of the API shares.
func New(secret []byte) (*Sealer, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "homefeed page token", 32)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of page tokens: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of page tokens: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of page tokens: %w", err)
	}
	return &Sealer{aead}, nil
}

// Seal makes a token that Open takes for the same request only: who asks, for what.
func (s *Sealer) Seal(request string, t *Token) (string, error) {
	plain, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("encoding page token: %w", err)
	}
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(plain)+s.aead.Overhead())
	_, _ = rand.Read(nonce) // never fails
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nonce, nonce, plain, []byte(request))), nil
}

// Open reads a token. Its error is ErrInvalid.
func (s *Sealer) Open(request, token string) (*Token, error) {
	if len(token) > maxToken {
		return nil, ErrInvalid
	}
	data, err := base64.RawURLEncoding.DecodeString(token)
	n := s.aead.NonceSize()
	if err != nil || len(data) < n {
		return nil, ErrInvalid
	}
	plain, err := s.aead.Open(nil, data[:n], data[n:], []byte(request))
	if err != nil {
		return nil, ErrInvalid
	}
	t := new(Token)
	if err := json.Unmarshal(plain, t); err != nil { // sealed by another version of this program
		return nil, ErrInvalid
	}
	return t, nil
}
