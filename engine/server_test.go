package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestRoutes(t *testing.T) {
	root := filepath.Join(t.TempDir(), "content")
	makeTree(t, root, "f")
	for _, test := range []struct {
		method, path, root string
		status             int
		contentType, body  string
	}{
		{"GET", "/health", root, 200, "application/json", "{\"status\":\"ok\"}\n"},
		{"HEAD", "/health", root, 200, "application/json", ""},
		{"GET", "/tree", root, 200, "application/json", `{"name":"content","path":"/","is_dir":true,"children":[`},
		{"GET", "/tree?x=y", root, 200, "application/json", `{"name":"content"`},
		{"HEAD", "/tree", root, 200, "application/json", ""},
		{"POST", "/tree", root, 405, "text/plain; charset=utf-8", "method not allowed\n"},
		{"DELETE", "/health", root, 405, "text/plain; charset=utf-8", "method not allowed\n"},
		{"GET", "/", root, 404, "text/plain; charset=utf-8", ""},
		{"GET", "/tree/", root, 404, "text/plain; charset=utf-8", ""},
		{"GET", "//tree", root, 404, "text/plain; charset=utf-8", ""},
		{"GET", "/x/../tree", root, 404, "text/plain; charset=utf-8", ""},
		{"GET", "/tree", root + "/none", 500, "text/plain; charset=utf-8", "failed to read content path: open " + root + "/none: "},
		{"HEAD", "/tree", root + "/none", 500, "text/plain; charset=utf-8", ""},
		{"GET", "/health", root + "/none", 200, "application/json", ""},
	} {
		t.Run(test.method+test.path, func(t *testing.T) {
			server := httptest.NewServer(newEngine(test.root))
			defer server.Close()
			request, err := http.NewRequest(test.method, server.URL, nil)
			must(t, err)
			path, query, _ := strings.Cut(test.path, "?")
			request.URL.Path, request.URL.RawQuery = path, query
			response, err := http.DefaultTransport.RoundTrip(request)
			must(t, err)
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			must(t, err)
			if response.StatusCode != test.status || response.Header.Get("Content-Type") != test.contentType {
				t.Errorf("%s %s", response.Status, response.Header)
			}
			if !strings.HasPrefix(string(body), test.body) || (test.method == "HEAD" && len(body) > 0) {
				t.Errorf("body %q, want %q…", body, test.body)
			}
			if test.status == 405 && response.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("Allow: %q", response.Header.Get("Allow"))
			}
		})
	}
}

// TestASlowReaderGetsTheWholeTree: the server's deadlines do not end a tree that a client keeps taking, however long
// it takes.
func TestASlowReaderGetsTheWholeTree(t *testing.T) {
	root := t.TempDir()
	const directories, depth = 2500, 10 // 12 MB of JSON, more than the socket buffers hold
	for number := range directories {
		makeTree(t, root, fmt.Sprintf("%s%d/f", strings.Repeat(longName+"/", depth), number))
	}
	server := httptest.NewUnstartedServer(newEngine(root))
	server.Config.ReadTimeout = 50 * time.Millisecond
	server.Config.WriteTimeout = 50 * time.Millisecond
	server.Start()
	defer server.Close()
	response, err := http.Get(server.URL + "/tree")
	must(t, err)
	defer response.Body.Close()
	head := make([]byte, 1024)
	_, err = io.ReadFull(response.Body, head)
	must(t, err)
	<-time.After(200 * time.Millisecond) // the slowness under test: four times the server's deadlines
	var tree node
	must(t, json.NewDecoder(io.MultiReader(bytes.NewReader(head), response.Body)).Decode(&tree))
	if got := len(tree.shape()); got != 2*directories+depth+1 {
		t.Errorf("%d nodes", got)
	}
}

func TestSettings(t *testing.T) {
	read := func(pairs ...string) (settings, error) {
		env := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			env[pairs[i]] = pairs[i+1]
		}
		return readSettings(func(name string) string { return env[name] })
	}
	got, err := read()
	if want := (settings{"/content", ":8080", 2 * time.Second}); err != nil || got != want {
		t.Errorf("%v %v, want %v", got, err, want)
	}
	got, err = read("CONTENT_PATH", "/a/b/", "LISTEN", "127.0.0.1:0", "DRAIN_SECONDS", "0.5")
	if want := (settings{"/a/b", "127.0.0.1:0", time.Second / 2}); err != nil || got != want {
		t.Errorf("%v %v, want %v", got, err, want)
	}
	for _, bad := range [][2]string{
		{"PORT", "http"}, {"PORT", "70000"}, {"DRAIN_SECONDS", "-1"}, {"DRAIN_SECONDS", "NaN"}, {"DRAIN_SECONDS", "2s"},
	} {
		if _, err := read(bad[0], bad[1]); err == nil || !strings.Contains(err.Error(), bad[0]+" must be") {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestATakenPort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	err = run(settings{root: "/", listen: taken.Addr().String()}, nil)
	if err == nil || !strings.Contains(err.Error(), "address already in use; set LISTEN or PORT") {
		t.Error(err)
	}
}

// TestDrain: after SIGTERM the engine goes on answering, asks clients to leave the connection, and ends without an
// error; another signal cuts the drain short.
func TestDrain(t *testing.T) {
	var logged lockedBuffer
	log.SetOutput(&logged)
	defer log.SetOutput(os.Stderr)
	signals := make(chan os.Signal, 2)
	done := make(chan error, 1)
	go func() {
		done <- run(settings{root: t.TempDir(), listen: "127.0.0.1:0", drain: time.Hour}, signals)
	}()
	address := ""
	for address == "" {
		select {
		case err := <-done:
			t.Fatal(err)
		case <-time.After(time.Millisecond):
		}
		if found := regexp.MustCompile(` on (\S+)`).FindStringSubmatch(logged.String()); found != nil {
			address = found[1]
		}
	}
	signals <- syscall.SIGTERM
	for {
		response, err := http.Get("http://" + address + "/health")
		must(t, err)
		response.Body.Close()
		if response.StatusCode != 200 {
			t.Fatal(response.Status)
		}
		if response.Close {
			break
		}
	}
	signals <- syscall.SIGTERM
	select {
	case err := <-done:
		must(t, err)
	case <-time.After(10 * time.Second):
		t.Fatal("the second signal does not end the drain")
	}
}

type lockedBuffer struct {
	sync.Mutex
	bytes.Buffer
}

func (l *lockedBuffer) Write(data []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	return l.Buffer.Write(data)
}

func (l *lockedBuffer) String() string {
	l.Lock()
	defer l.Unlock()
	return l.Buffer.String()
}
