package main

import (
	"bytes"
	"io"
	"os"
	"time"
)

// longest is how much of a line one log entry holds, containerd's max_container_log_line_size: longer lines are
// split into partial entries.
const longest = 16 * 1024

// pump copies what a container writes to a stream into its log, in the format of the container runtime interface:
// one entry a line, "<time> <stream> <F or P> <text>", P where the line goes on in the next entry. It returns when
// nobody can write to the stream any more. Both streams of a container append to one file, each entry in one write.
func pump(stream string, from io.Reader, to *os.File) {
	var line, entries bytes.Buffer
	entry := func(text []byte, tag string) {
		entries.WriteString(time.Now().UTC().Format(time.RFC3339Nano))
		entries.WriteString(" " + stream + " " + tag + " ")
		entries.Write(text)
		entries.WriteByte('\n')
	}
	chunk := make([]byte, 32*1024)
	for {
		n, err := from.Read(chunk)
		line.Write(chunk[:n])
		for {
			end := bytes.IndexByte(line.Bytes(), '\n')
			switch {
			case end >= 0 && end <= longest:
				entry(line.Next(end), "F")
				line.Next(1)
				continue
			case line.Len() > longest:
				entry(line.Next(longest), "P")
				continue
			}
			break
		}
		if err != nil && line.Len() > 0 {
			entry(line.Bytes(), "F")
		}
		if entries.Len() > 0 {
			// A full disk loses lines, as it does on a node; the container runs on.
			_, _ = to.Write(entries.Bytes())
			entries.Reset()
		}
		if err != nil {
			return
		}
	}
}
