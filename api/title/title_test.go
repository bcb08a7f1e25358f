package title_test

import (
	"strings"
	"testing"

	"homefeed/api/title"
)

func TestAppend(t *testing.T) {
	args := map[string]string{"artist": "Mozart", "empty": "", "brace": "{artist}", "": "nameless"}
	arg := func(name string) ([]byte, bool) { v, ok := args[name]; return []byte(v), ok }
	for text, want := range map[string]string{
		"": "", "Plain": "Plain", "{artist}": "Mozart", "More like {artist}!": "More like Mozart!",
		"{artist}{artist}": "MozartMozart", "{brace}": "{artist}", "{}": "nameless",
		"Half {artist": "Half {artist", "artist} first": "artist} first",
	} {
		if got, ok := title.Parse(text).Append([]byte("Home: "), arg); !ok || string(got) != "Home: "+want {
			t.Errorf("%q became %q, %v; want %q", text, got, ok, want)
		}
	}
	for _, text := range []string{"{nobody}", "{artist} and {nobody}", "{empty}"} {
		if got, ok := title.Parse(text).Append([]byte("Home: "), arg); ok || string(got) != "Home: " {
			t.Errorf("%q became %q: want it refused", text, got)
		}
	}
	if got, ok := (title.Template{}).Append(nil, arg); !ok || len(got) > 0 {
		t.Errorf("no title became %q, %v", got, ok)
	}
}

// FuzzParse holds that any text is a title, and that putting the names back gives the text.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"", "a {b} c", "{", "}{", "{{a}}", "{}{}"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed := title.Parse(text)
		got, ok := parsed.Append(nil, func(name string) ([]byte, bool) { return []byte("{" + name + "}"), true })
		if !ok || string(got) != text {
			t.Fatalf("%q became %q, %v", text, got, ok)
		}
		if parsed.Mentions() != (strings.Contains(text, "{") && strings.Contains(text[strings.Index(text, "{"):], "}")) {
			t.Fatalf("%q: Mentions = %v", text, parsed.Mentions())
		}
	})
}
