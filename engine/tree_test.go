package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// node is a node of the contract, as a client reads it.
type node struct {
	Name     string
	Path     string
	IsDir    bool `json:"is_dir"`
	Children []node
}

// shape lists the paths of a tree in the order of the answer, a directory's with a slash behind.
func (n node) shape() (paths []string) {
	path := n.Path
	if n.IsDir && path != "/" {
		path += "/"
	}
	paths = append(paths, path)
	for _, child := range n.Children {
		paths = append(paths, child.shape()...)
	}
	return paths
}

func treeOf(t *testing.T, root string) node {
	t.Helper()
	opened, err := openRoot(root)
	must(t, err)
	defer opened.close()
	var text bytes.Buffer
	_, err = writeTree(context.Background(), &text, opened)
	must(t, err)
	var tree node
	if err := json.Unmarshal(text.Bytes(), &tree); err != nil {
		t.Fatalf("%v in %s", err, &text)
	}
	return tree
}

// longName makes a little tree a lot of JSON.
var longName = strings.Repeat("n", 250)

// makeTree builds a tree: "dir/", "file" or "link -> target".
func makeTree(t *testing.T, root string, entries ...string) {
	t.Helper()
	for _, entry := range entries {
		name, target, isLink := strings.Cut(entry, " -> ")
		path := filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		switch {
		case isLink:
			must(t, os.Symlink(target, path))
		case strings.HasSuffix(name, "/"):
			must(t, os.MkdirAll(path, 0o755))
		default:
			must(t, os.WriteFile(path, nil, 0o644))
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestBytesOfTheAnswer(t *testing.T) {
	root := filepath.Join(t.TempDir(), "content")
	makeTree(t, root, "a/b.txt", "empty/", "z")
	opened, err := openRoot(root)
	must(t, err)
	defer opened.close()
	var text bytes.Buffer
	_, err = writeTree(context.Background(), &text, opened)
	must(t, err)
	want := `{"name":"content","path":"/","is_dir":true,"children":[` +
		`{"name":"a","path":"/a","is_dir":true,"children":[{"name":"b.txt","path":"/a/b.txt","is_dir":false}]},` +
		`{"name":"empty","path":"/empty","is_dir":true},` +
		`{"name":"z","path":"/z","is_dir":false}]}` + "\n"
	if text.String() != want {
		t.Errorf("got  %s\nwant %s", &text, want)
	}
}

func TestShapes(t *testing.T) {
	for name, test := range map[string]struct{ entries, want []string }{
		"empty root":       {nil, []string{"/"}},
		"byte order":       {[]string{"b", "a/", "a.b", "B", "é", "\xff", "-"}, []string{"/", "/-", "/B", "/a/", "/a.b", "/b", "/é", "/\ufffd"}},
		"link to a file":   {[]string{"f", "l -> f"}, []string{"/", "/f", "/l"}},
		"link to nothing":  {[]string{"l -> none"}, []string{"/", "/l"}},
		"link to itself":   {[]string{"l -> l"}, []string{"/", "/l"}},
		"links in a ring":  {[]string{"a -> b", "b -> a"}, []string{"/", "/a", "/b"}},
		"link out":         {[]string{"../outside/f", "l -> ../outside", "m -> ../outside/f"}, []string{"/", "/l", "/m"}},
		"link to the root": {[]string{"d/l -> .."}, []string{"/", "/d/", "/d/l"}},
		"link to its own":  {[]string{"d/l -> ."}, []string{"/", "/d/", "/d/l"}},
		"link inside": {
			[]string{"d/e/f", "l -> d", "m/n -> ../d/e"},
			[]string{"/", "/d/", "/d/e/", "/d/e/f", "/l/", "/l/e/", "/l/e/f", "/m/", "/m/n/", "/m/n/f"},
		},
		"link through a link": {
			[]string{"d/f", "a -> b", "b -> d"},
			[]string{"/", "/a/", "/a/f", "/b/", "/b/f", "/d/", "/d/f"},
		},
		"link out and back": {[]string{"d/f", "l -> ../content/d"}, []string{"/", "/d/", "/d/f", "/l/", "/l/f"}},
		"links at each other's directory": {
			[]string{"a/to-b -> ../b", "b/to-a -> ../a"},
			[]string{"/", "/a/", "/a/to-b/", "/a/to-b/to-a", "/b/", "/b/to-a/", "/b/to-a/to-b"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "content")
			must(t, os.Mkdir(root, 0o755))
			makeTree(t, root, test.entries...)
			if got := treeOf(t, root).shape(); !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestAbsoluteLinkInside(t *testing.T) {
	root := filepath.Join(t.TempDir(), "content")
	makeTree(t, root, "d/f", "l -> "+root+"/d", "beside -> "+root+"-other")
	makeTree(t, root+"-other", "f")
	want := []string{"/", "/beside", "/d/", "/d/f", "/l/", "/l/f"}
	if got := treeOf(t, root).shape(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRootBehindASymlinkKeepsItsName(t *testing.T) {
	work := t.TempDir()
	makeTree(t, work, "real/d/f", "real/l -> d", "content -> real")
	tree := treeOf(t, filepath.Join(work, "content"))
	want := []string{"/", "/d/", "/d/f", "/l/", "/l/f"}
	if tree.Name != "content" || !slices.Equal(tree.shape(), want) {
		t.Errorf("got %s %q, want content %q", tree.Name, tree.shape(), want)
	}
}

func TestOtherKindsAreLeaves(t *testing.T) {
	root := t.TempDir()
	must(t, syscall.Mkfifo(filepath.Join(root, "fifo"), 0o644))
	listener, err := net.Listen("unix", filepath.Join(root, "socket"))
	must(t, err)
	defer listener.Close()
	if got := treeOf(t, root).shape(); !slices.Equal(got, []string{"/", "/fifo", "/socket"}) {
		t.Error(got)
	}
}

// TestDeeperThanAPath walks a tree whose deepest path is longer than the kernel takes in one call.
func TestDeeperThanAPath(t *testing.T) {
	root := t.TempDir()
	const depth = 40 // 10,000 characters
	fd, err := syscall.Open(root, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	must(t, err)
	for range depth {
		must(t, syscall.Mkdirat(fd, longName, 0o755))
		below, err := openBelow(fd, longName)
		must(t, err)
		syscall.Close(fd)
		fd = below
	}
	syscall.Close(fd)
	paths := treeOf(t, root).shape()
	if len(paths) != depth+1 || len(paths[depth]) != depth*251+1 {
		t.Errorf("%d paths", len(paths))
	}
}

func TestEntriesOfUnknownKind(t *testing.T) {
	root := t.TempDir()
	makeTree(t, root, "d/f", "f", "l -> d")
	opened, err := openRoot(root)
	must(t, err)
	defer opened.close()
	for i := range opened.entries.entries { // as a file system without types in its listings gives them
		opened.entries.entries[i].kind = unknown
	}
	var text bytes.Buffer
	_, err = writeTree(context.Background(), &text, opened)
	must(t, err)
	var tree node
	must(t, json.Unmarshal(text.Bytes(), &tree))
	if want := []string{"/", "/d/", "/d/f", "/f", "/l/", "/l/f"}; !slices.Equal(tree.shape(), want) {
		t.Errorf("got %q, want %q", tree.shape(), want)
	}
}

func TestRootThatCannotBeRead(t *testing.T) {
	root := t.TempDir()
	makeTree(t, root, "file")
	for _, path := range []string{filepath.Join(root, "none"), filepath.Join(root, "file")} {
		if _, err := openRoot(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

var errGone = errors.New("gone")

// brokenWriter fails after some writes, as a connection does when the client goes away.
type brokenWriter struct{ writes int }

func (b *brokenWriter) Write(data []byte) (int, error) {
	if b.writes++; b.writes > 1 {
		return 0, errGone
	}
	return len(data), nil
}

func TestAClientThatGoesAwayStopsTheWalk(t *testing.T) {
	root := t.TempDir()
	for number := range 500 {
		makeTree(t, root, fmt.Sprintf("%s%d", strings.Repeat(longName+"/", 5), number))
	}
	opened, err := openRoot(root)
	must(t, err)
	defer opened.close()
	broken := &brokenWriter{}
	if _, err := writeTree(context.Background(), broken, opened); !errors.Is(err, errGone) || broken.writes != 2 {
		t.Errorf("%v after %d writes", err, broken.writes)
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := writeTree(cancelled, io.Discard, opened); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if left := openFiles(t); left > 40 {
		t.Errorf("%d files are still open", left)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(entries)
}

// TestAsAnotherUser runs as root as uid 65532 and otherwise as the user that runs the tests: what the mode denies
// must be denied.
func TestAsAnotherUser(t *testing.T) {
	root := t.TempDir()
	makeTree(t, root, "a", "closed/inside", "listed/d/f", "listed/f", "z/f", "to-closed -> closed", "to-inside -> closed/inside")
	must(t, os.Chmod(filepath.Join(root, "closed"), 0))
	must(t, os.Chmod(filepath.Join(root, "listed"), 0o444))
	defer os.Chmod(filepath.Join(root, "closed"), 0o755)
	defer os.Chmod(filepath.Join(root, "listed"), 0o755)
	output := asOther(t, root)
	var tree node
	must(t, json.Unmarshal(output, &tree))
	want := []string{"/", "/a", "/closed/", "/listed/", "/listed/d/", "/listed/f", "/to-closed/", "/to-inside", "/z/", "/z/f"}
	if !slices.Equal(tree.shape(), want) {
		t.Errorf("got  %q\nwant %q", tree.shape(), want)
	}
	if got := string(asOther(t, filepath.Join(root, "closed"))); !strings.Contains(got, "open "+root+"/closed: permission denied") {
		t.Errorf("got %q", got)
	}
}

// TestTooFewFilesBreakTheTreeOff: a tree must not lose entries because the process has no file descriptor left.
func TestTooFewFilesBreakTheTreeOff(t *testing.T) {
	root := t.TempDir()
	makeTree(t, root, strings.Repeat("d/", 100)+"f")
	if got := string(asOther(t, root, "limit")); !strings.Contains(got, "too many open files") {
		t.Errorf("got %q", got)
	}
}

const otherEnv = "ENGINE_TEST_ROOT"

// asOther runs main-like code of this test program in another process: see TestMain.
func asOther(t *testing.T, root string, limits ...string) []byte {
	t.Helper()
	// The test program and its temporary directories lie where another user may not get to.
	own := filepath.Dir(t.TempDir())
	must(t, os.Chmod(own, 0o755))
	program := filepath.Join(own, "program")
	data, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	must(t, os.WriteFile(program, data, 0o755))
	command := exec.Command(program)
	command.Env = []string{otherEnv + "=" + root, "ENGINE_TEST_LIMITS=" + strings.Join(limits, "")}
	if os.Getuid() == 0 {
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	}
	output, err := command.CombinedOutput()
	must(t, err)
	return output
}

func TestMain(m *testing.M) {
	root := os.Getenv(otherEnv)
	if root == "" {
		os.Exit(m.Run())
	}
	if os.Getenv("ENGINE_TEST_LIMITS") != "" {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 40, Max: 40}); err != nil {
			panic(err)
		}
	}
	opened, err := openRoot(root)
	if err == nil {
		var text bytes.Buffer
		if _, err = writeTree(context.Background(), &text, opened); err == nil {
			os.Stdout.Write(text.Bytes())
		}
	}
	if err != nil {
		fmt.Println(err)
	}
}
