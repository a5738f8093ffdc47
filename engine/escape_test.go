package main

import (
	"encoding/json"
	"testing"
)

// FuzzEscape holds every name, joined to a path or not, to what encoding/json writes.
func FuzzEscape(f *testing.F) {
	for _, name := range []string{
		"", "plain.txt", `quote"`, `back\slash`, "<&>", "tab\tline\nreturn\rbell\a\x7f\x00", "é", "\u2028\u2029",
		"\xff", "cut\xc3", "\xed\xa0\x80", "\U0001F600", "\ufffd",
	} {
		f.Add(name, "second")
		f.Add("first", name)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		want, err := json.Marshal(first + "/" + second)
		if err != nil {
			t.Fatal(err)
		}
		got := append(appendEscaped([]byte{'"'}, []byte(first)), '/')
		got = append(appendEscaped(got, []byte(second)), '"')
		if string(got) != string(want) {
			t.Errorf("%q/%q: got %s, want %s", first, second, got, want)
		}
	})
}
