package names

import "testing"

func TestSlug(t *testing.T) {
	for name, want := range map[string]string{
		"The Nine O'Clock Toasters": "the-nine-oclock-toasters",
		"Vora & Lixis":              "vora-lixis",
		"Otra! Otra (4 A.M.)":       "otra-otra-4-a-m",
	} {
		if got := Slug(name); got != want {
			t.Errorf("Slug(%q) = %q, want %q", name, got, want)
		}
	}
}
