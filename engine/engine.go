package main

import (
	"io"
	"log"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	stallTimeout = 30 * time.Second // a client that takes no data for so long is dropped
	treeTimeout  = 10 * time.Minute // and so is one whose tree is not done by then
)

// engine answers HTTP for one directory.
type engine struct {
	root     string      // absolute path
	draining atomic.Bool // set when the process is about to end: clients should open no further request on a connection
}

func newEngine(root string) *engine { return &engine{root: root} }

// ServeHTTP knows exactly two paths, for GET and HEAD; it neither cleans paths nor redirects.
func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if e.draining.Load() {
		w.Header().Set("Connection", "close")
	}
	serve := e.serveTree
	switch r.URL.Path {
	case "/tree":
	case "/health":
		serve = serveHealth
	default:
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	serve(w, r)
}

func serveHealth(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, "{\"status\":\"ok\"}\n")
}

// serveTree streams the tree. Only the root can fail the request: once it is read, the answer is 200, and a failure
// that would leave the answer incomplete breaks the connection off, so that no client takes it for the whole.
func (e *engine) serveTree(w http.ResponseWriter, r *http.Request) {
	root, err := openRoot(e.root)
	if err != nil {
		http.Error(w, "failed to read content path: "+err.Error(), http.StatusInternalServerError)
		return
	}
	defer root.close()
	w.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodHead {
		return
	}
	out := newPacedWriter(w)
	unreadable, err := writeTree(r.Context(), out, root)
	if unreadable.count > 0 {
		log.Printf("%d directories could not be read and are shown without children, the first: %v",
			unreadable.count, unreadable.first)
	}
	switch {
	case err == nil:
	case out.err != nil || r.Context().Err() != nil: // the client went away or stalled
		panic(http.ErrAbortHandler)
	default:
		log.Printf("broke off a tree: %v", err)
		panic(http.ErrAbortHandler)
	}
}

// pacedWriter moves the deadline for writing on with every write: a client that keeps reading may take its time.
type pacedWriter struct {
	to      io.Writer
	control *http.ResponseController
	end     time.Time
	err     error // the first failure to write
}

func newPacedWriter(w http.ResponseWriter) *pacedWriter {
	return &pacedWriter{to: w, control: http.NewResponseController(w), end: time.Now().Add(treeTimeout)}
}

func (p *pacedWriter) Write(data []byte) (int, error) {
	deadline := time.Now().Add(stallTimeout)
	if deadline.After(p.end) {
		deadline = p.end
	}
	_ = p.control.SetWriteDeadline(deadline) // without support for deadlines the server's own hold
	written, err := p.to.Write(data)
	if err != nil && p.err == nil {
		p.err = err
	}
	return written, err
}
