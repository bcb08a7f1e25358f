// Package cardtoken makes the context tokens of cards: which card it was, on which shelf, where, from which row. A
// client sends one back with what the listener did to the card; nobody can make one up or use another listener's.
//
// A Home has a few hundred cards and is made for every request, so a token must cost less than the card's bytes do. A
// listener's tokens share a key, derived from the listener's id with HMAC-SHA256, and each is authenticated by the
// CBC-MAC of what it says under AES-128. A shelf's cards share all but their position and URI, which make the last
// block: so a shelf costs a few blocks and a card one. What is authenticated begins with its length, because CBC-MAC is
// sound only where no message is the beginning of another (Bellare, Kilian and Rogaway, 2000).
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
	"hash"
	"time"

	"github.com/zeebo/xxh3"

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
	version    = 3
	tagSize    = 10
	cardSize   = 2 + tagSize // position and tag
	maxTrigger = 64
	maxToken   = 256
)

// Listener makes the tokens of one listener, and after that of another in the same memory. It is for one goroutine.
type Listener struct {
	mac   hash.Hash // has the secret in it
	sum   [sha256.Size]byte
	block cipher.Block
	shelf Shelf // here, so that no shelf is allocated
}

// Listener makes one that begins with the listener.
func (t *Tokens) Listener(user string) (*Listener, error) {
	l := t.Nobody()
	return l, l.Begin(user)
}

// Nobody makes one that has to Begin first.
func (t *Tokens) Nobody() *Listener { return &Listener{mac: hmac.New(sha256.New, t.secret)} }

// Begin begins with what all of a listener's tokens share, and ends with the listener before.
func (l *Listener) Begin(user string) (err error) {
	l.mac.Reset()
	l.mac.Write([]byte(user))
	if l.block, err = aes.NewCipher(l.mac.Sum(l.sum[:0])[:16]); err != nil {
		return fmt.Errorf("deriving the key of a listener's contexts: %w", err)
	}
	return nil
}

// Shelf makes the tokens of one shelf's cards, until the Listener is asked for another one.
type Shelf struct {
	block   cipher.Block
	prefix  []byte              // of all tokens
	encoded []byte              // the prefix as it is in them
	sum     [aes.BlockSize]byte // the CBC-MAC of all but the last block
	last    [aes.BlockSize]byte
}

// Shelf begins with what the shelf's cards share; c.Position is passed over.
func (l *Listener) Shelf(c Card) *Shelf {
	s := &l.shelf
	s.block, s.prefix = l.block, appendPrefix(s.prefix[:0], c)
	s.encoded = base64.RawURLEncoding.AppendEncode(s.encoded[:0], s.prefix)
	s.begin()
	return s
}

// begin authenticates the prefix: its length, then its bytes, filled up with zeros.
func (s *Shelf) begin() {
	clear(s.sum[:])
	binary.BigEndian.PutUint64(s.sum[:], uint64(len(s.prefix)))
	s.block.Encrypt(s.sum[:], s.sum[:])
	for rest := s.prefix; len(rest) > 0; {
		n := subtle.XORBytes(s.sum[:], s.sum[:], rest[:min(len(rest), aes.BlockSize)])
		s.block.Encrypt(s.sum[:], s.sum[:])
		rest = rest[n:]
	}
}

// Len is the length of each token.
func (s *Shelf) Len() int { return len(s.encoded) + cardSize/3*4 }

// Append appends the token of the card at a position below 65,536; uriHash is XXH3 of its URI, which whoever arranges
// cards has anyway.
func (s *Shelf) Append(dst []byte, position int, uriHash uint64) []byte {
	tag := s.tag(uint16(position), uriHash)
	dst = append(dst, s.encoded...)
	dst = binary.BigEndian.AppendUint64(dst, encode48(uint64(uint16(position))<<32|uint64(binary.BigEndian.Uint32(tag))))
	return binary.BigEndian.AppendUint64(dst, encode48(binary.BigEndian.Uint64(tag[2:])&(1<<48-1)))
}

// encode48 is the 8 characters of base64 (RFC 4648, for URLs) for 48 bits, all at once: a byte each. The standard
// library takes several times as long for so little.
func encode48(bits uint64) uint64 {
	x := bits>>24<<32 | bits&0xffffff
	x = x&0x00fff000_00fff000<<4 | x&0x00000fff_00000fff
	x = x&0x0fc00fc0_0fc00fc0<<2 | x&0x003f003f_003f003f // six bits in each byte
	const ones = 0x01010101_01010101
	from := func(n uint64) uint64 { return (x + ones*(128-n)) >> 7 & ones } // 1 in each byte that is at least n
	return x + ones*'A' + from(26)*('a'-'Z'-1) + from(63)*('_'-'-'-1) - from(52)*('z'-'0'+1) - from(62)*('9'-'-'+1)
}

// tag is the MAC of a card, valid until the next one: the position and a hash of the URI are the last block.
func (s *Shelf) tag(position uint16, uriHash uint64) []byte {
	const hashBits = 64 - 16 // of the hash in the first of two words, behind the position
	binary.BigEndian.PutUint64(s.last[:], binary.BigEndian.Uint64(s.sum[:])^uint64(position)<<hashBits^uriHash>>16)
	binary.BigEndian.PutUint64(s.last[8:], binary.BigEndian.Uint64(s.sum[8:])^uriHash<<hashBits)
	s.block.Encrypt(s.last[:], s.last[:])
	return s.last[:tagSize]
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
	l, err := t.Listener(user)
	if err != nil {
		return Card{}, err
	}
	position := binary.BigEndian.Uint16(own)
	s := Shelf{block: l.block, prefix: prefix}
	s.begin()
	if subtle.ConstantTimeCompare(s.tag(position, xxh3.HashString(uri)), own[2:]) != 1 {
		return Card{}, ErrInvalid
	}
	return readPrefix(prefix, int(position))
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
