package main

import "encoding/json"

// isPlain marks the bytes that stand for themselves in a string of JSON as encoding/json writes it: printable ASCII
// except the quote, the backslash, and <, >, &.
var isPlain = func() (plain [256]bool) {
	for b := byte(0x20); b < 0x80; b++ {
		plain[b] = b != '"' && b != '\\' && b != '<' && b != '>' && b != '&'
	}
	return plain
}()

// appendEscaped adds a name as the inside of a JSON string, byte for byte as encoding/json does: bytes that are not
// UTF-8 become \ufffd.
func appendEscaped(buffer, name []byte) []byte {
	for _, b := range name {
		if !isPlain[b] {
			quoted, err := json.Marshal(string(name))
			if err != nil {
				panic(err) // a string can always be marshalled
			}
			return append(buffer, quoted[1:len(quoted)-1]...)
		}
	}
	return append(buffer, name...)
}
