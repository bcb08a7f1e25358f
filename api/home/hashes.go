package home

// hashes is a set of hashes that is emptied and used again. A map would do; this one costs a third, and Home asks it
// about every card.
type hashes struct {
	slots []uint64 // open addressing; 0 is free
	n     int
	zero  bool // 0 is in the set
}

// clear empties the set.
func (s *hashes) clear() {
	clear(s.slots)
	s.n, s.zero = 0, false
}

func (s *hashes) has(hash uint64) bool {
	if hash == 0 {
		return s.zero
	}
	if s.n == 0 {
		return false
	}
	for i := hash; ; i++ {
		switch s.slots[i&uint64(len(s.slots)-1)] {
		case hash:
			return true
		case 0:
			return false
		}
	}
}

func (s *hashes) add(hash uint64) {
	if hash == 0 {
		s.zero = true
		return
	}
	if s.n >= len(s.slots)/2 {
		s.grow()
	}
	i := hash & uint64(len(s.slots)-1)
	for s.slots[i] != 0 {
		if s.slots[i] == hash {
			return
		}
		i = (i + 1) & uint64(len(s.slots)-1)
	}
	s.slots[i] = hash
	s.n++
}

func (s *hashes) grow() {
	old := s.slots
	s.slots, s.n = make([]uint64, max(2*len(old), 1024)), 0
	for _, hash := range old {
		if hash != 0 {
			s.add(hash)
		}
	}
}

// all calls yield with each hash of the set.
func (s *hashes) all(yield func(uint64) bool) {
	if s.zero && !yield(0) {
		return
	}
	for _, hash := range s.slots {
		if hash != 0 && !yield(hash) {
			return
		}
	}
}
