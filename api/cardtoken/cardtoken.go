// Package cardtoken makes the context tokens of cards: which card it was, on which shelf, where, from which row. A
// client sends one back with what the listener did to the card; nobody can make one up or use another listener's.
//
// A Home has a few hundred cards and is made for every request, so a token must cost less than the card's bytes do.
// A shelf's cards share all but their position and URI. So the shelf's part is authenticated once, by deriving from it
// a key with HMAC-SHA256, and a card costs one block of AES-128 under that key: of one block, a cipher is a MAC.
package cardtoken

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cespare/xxhash/v2"

	"homefeed/shelves/shelfpb"
)

// Card is what a token says.
type Card struct {
	Shelf    string
	Status   shelfpb.Status
	AsOf     time.Time // of the row; zero for cards of the editors
	Trigger  string    // of the row
	Place    int       // of the shelf on Home, from 0
	Position int       // of the card on the shelf, from 0
}

// ErrInvalid says that a token is not one of these, or was made for another listener or another card.
var ErrInvalid = errors.New("context: want the context of the card, as this listener's Home had it")

// MinSecret is the shortest secret in bytes.
const MinSecret = 32

// Tokens makes and reads tokens. It is safe for concurrent use.
type Tokens struct{ secret []byte }

// New makes Tokens whose secret every instance of the API shares: one reads what another has made.
func New(secret []byte) (*Tokens, error) {
	if len(secret) < MinSecret {
		return nil, fmt.Errorf("secret: want at least %d bytes", MinSecret)
	}
	return &Tokens{secret: append([]byte("card\x00"), secret...)}, nil
}

const (
	version    = 1
	tagSize    = 10
	cardSize   = 2 + tagSize // position and tag: 16 characters
	maxTrigger = 64
	maxToken   = 256
)

// Shelf makes the tokens of one shelf's cards. It is for one goroutine.
type Shelf struct {
	prefix  string // encoded
	block   cipher.Block
	in, out [aes.BlockSize]byte // here, because what an interface is given escapes
	own     [cardSize]byte
}

// Shelf begins with what the shelf's cards share; c.Position is passed over.
func (t *Tokens) Shelf(user string, c Card) (*Shelf, error) {
	var scratch [128]byte
	prefix := appendPrefix(scratch[:0], c)
	block, err := t.key(user, prefix)
	if err != nil {
		return nil, err
	}
	return &Shelf{prefix: base64.RawURLEncoding.EncodeToString(prefix), block: block}, nil
}

// Len is the length of each token.
func (s *Shelf) Len() int { return len(s.prefix) + base64.RawURLEncoding.EncodedLen(cardSize) }

// Append appends the token of the card with the URI at a position below 65,536.
func (s *Shelf) Append(dst []byte, position int, uri []byte) []byte {
	binary.BigEndian.PutUint16(s.own[:], uint16(position))
	copy(s.own[2:], s.tag(s.own[:2], uri))
	return base64.RawURLEncoding.AppendEncode(append(dst, s.prefix...), s.own[:])
}

// tag is the MAC of a card, valid until the next one: the position and a hash of the URI fill one block.
func (s *Shelf) tag(position, uri []byte) []byte {
	copy(s.in[:], position)
	binary.BigEndian.PutUint64(s.in[2:], xxhash.Sum64(uri))
	s.block.Encrypt(s.out[:], s.in[:])
	return s.out[:tagSize]
}

func (t *Tokens) key(user string, prefix []byte) (cipher.Block, error) {
	mac := hmac.New(sha256.New, t.secret)
	mac.Write([]byte(user)) // ids have no zero byte
	mac.Write([]byte{0})
	mac.Write(prefix)
	block, err := aes.NewCipher(mac.Sum(nil)[:16])
	if err != nil {
		return nil, fmt.Errorf("deriving the key of a shelf's contexts: %w", err)
	}
	return block, nil
}

// appendPrefix pads to a multiple of 3 bytes, so that its base64 is a prefix of the token's.
func appendPrefix(dst []byte, c Card) []byte {
	begin := len(dst)
	dst = append(dst, version, byte(c.Status), byte(c.Place))
	var ms int64
	if !c.AsOf.IsZero() {
		ms = c.AsOf.UnixMilli()
	}
	dst = binary.AppendUvarint(dst, uint64(ms))
	dst = append(dst, byte(len(c.Shelf)))
	dst = append(dst, c.Shelf...)
	trigger := c.Trigger[:min(len(c.Trigger), maxTrigger)]
	dst = append(dst, byte(len(trigger)))
	dst = append(dst, trigger...)
	for (len(dst)-begin)%3 != 0 {
		dst = append(dst, 0)
	}
	return dst
}

// Open reads the token that the listener's Home had for the card with the URI. Its error is ErrInvalid.
func (t *Tokens) Open(user, uri, token string) (Card, error) {
	if len(token) > maxToken {
		return Card{}, ErrInvalid
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(data) < 6+cardSize || data[0] != version {
		return Card{}, ErrInvalid
	}
	prefix, own := data[:len(data)-cardSize], data[len(data)-cardSize:]
	block, err := t.key(user, prefix)
	if err != nil {
		return Card{}, err
	}
	s := Shelf{block: block}
	if subtle.ConstantTimeCompare(s.tag(own[:2], []byte(uri)), own[2:]) != 1 {
		return Card{}, ErrInvalid
	}
	return readPrefix(prefix, int(binary.BigEndian.Uint16(own)))
}

// readPrefix reads what appendPrefix wrote; the tag has shown that it did.
func readPrefix(prefix []byte, position int) (Card, error) {
	c := Card{Status: shelfpb.Status(prefix[1]), Place: int(prefix[2]), Position: position}
	ms, n := binary.Uvarint(prefix[3:])
	if n <= 0 {
		return Card{}, ErrInvalid
	}
	if ms > 0 {
		c.AsOf = time.UnixMilli(int64(ms)).UTC()
	}
	rest := prefix[3+n:]
	for _, text := range []*string{&c.Shelf, &c.Trigger} {
		if len(rest) == 0 || int(rest[0]) > len(rest)-1 {
			return Card{}, ErrInvalid
		}
		*text, rest = string(rest[1:1+rest[0]]), rest[1+rest[0]:]
	}
	return c, nil
}
