// Engine serves the tree of files under a directory, normally the image volume at /content, over HTTP.
//
//	GET /tree    the tree as JSON: {"name", "path", "is_dir", "children"}, children left out when there are none
//	GET /health  {"status":"ok"}
//
// Environment:
//
//	CONTENT_PATH   the directory, default /content
//	LISTEN         the address, default :PORT
//	PORT           the port, default 8080
//	DRAIN_SECONDS  how long to go on accepting connections after SIGTERM, default 2: meanwhile the cluster takes the pod
//	               out of its services, so that a roll-out loses no request
//
// Exit status: 0 after SIGTERM or SIGINT, 1 when it cannot serve or had to cut off requests, 2 for a setting that makes
// no sense.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// shutdownTimeout is how long requests in flight may take to finish after the drain. With the drain it stays below the
// 30 s that Kubernetes waits before it kills.
const shutdownTimeout = 20 * time.Second

type settings struct {
	root   string // absolute
	listen string
	drain  time.Duration
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("engine: ")
	chosen, err := readSettings(os.Getenv)
	if err != nil {
		log.Print(err)
		os.Exit(2)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	if err := run(chosen, signals); err != nil {
		log.Print(err)
		os.Exit(1)
	}
}

func readSettings(getenv func(string) string) (settings, error) {
	or := func(name, otherwise string) string {
		if value := getenv(name); value != "" {
			return value
		}
		return otherwise
	}
	root, err := filepath.Abs(or("CONTENT_PATH", "/content"))
	if err != nil {
		return settings{}, fmt.Errorf("CONTENT_PATH is relative and the working directory is unknown: %w", err)
	}
	port := or("PORT", "8080")
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return settings{}, fmt.Errorf("PORT must be a number from 0 to 65535, not %q", port)
	}
	drain := or("DRAIN_SECONDS", "2")
	seconds, err := strconv.ParseFloat(drain, 64)
	if err != nil || !(seconds >= 0 && seconds <= 3600) {
		return settings{}, fmt.Errorf("DRAIN_SECONDS must be a number from 0 to 3600, not %q", drain)
	}
	return settings{root, or("LISTEN", ":"+port), time.Duration(seconds * float64(time.Second))}, nil
}

// run serves until a signal arrives. SIGTERM starts the drain, which another signal cuts short; SIGINT, from a terminal,
// has none.
func run(chosen settings, signals <-chan os.Signal) error {
	listener, err := net.Listen("tcp", chosen.listen)
	if err != nil {
		return fmt.Errorf("cannot serve: %w; set LISTEN or PORT to a free address", err)
	}
	engine := newEngine(chosen.root)
	server := newServer(engine)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	log.Printf("serving %s on %s", chosen.root, listener.Addr())
	select {
	case err := <-failed:
		return fmt.Errorf("cannot serve: %w", err)
	case received := <-signals:
		engine.draining.Store(true)
		if received == syscall.SIGTERM {
			select {
			case <-signals:
			case <-time.After(chosen.drain):
			}
		}
	}
	deadline, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(deadline); err != nil {
		server.Close()
		return fmt.Errorf("requests were still running %v after the drain and were cut off", shutdownTimeout)
	}
	return nil
}

// newServer sets limits for clients that send or read slowly; pacedWriter moves the one on writing on for a large tree.
func newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      stallTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}
