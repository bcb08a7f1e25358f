package rpc

import "testing"

func TestLoopback(t *testing.T) {
	for target, want := range map[string]bool{
		"127.0.0.1:9000":                 true,
		"localhost:9000":                 true,
		"localhost":                      true,
		"[::1]:9000":                     true,
		"dns:///localhost:9000":          true,
		"passthrough:///127.0.0.2:9000":  true,
		"unix:/run/songsplayed":          true,
		"10.0.0.7:9000":                  false,
		"songsplayed:9000":               false,
		"dns:///songsplayed:9000":        false,
		"localhost.example.com:9000":     false,
		"127.0.0.1.example.com:9000":     false,
		"dns://127.0.0.1/songsplayed:80": false, // a name, asked of a local resolver
		":9000":                          false,
	} {
		if got := loopback(target); got != want {
			t.Errorf("loopback(%q) is %t", target, got)
		}
	}
}
