package main

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// oPath is O_PATH of open(2), which package syscall does not name: a handle on the place, without access to the content.
const oPath = 0x200000

// kind is the type of a directory entry as the kernel lists it (DT_… of readdir(3)).
type kind uint8

const (
	unknown   kind = 0
	directory kind = 4
	symlink   kind = 10
)

// listing holds the entries of one directory in byte order of their names, in two flat slices that are used again.
type listing struct {
	names   []byte
	entries []entry
}

type entry struct {
	start int // of the name in names
	size  uint16
	kind  kind
}

func (l *listing) name(e entry) []byte { return l.names[e.start : e.start+int(e.size)] }

// read fills the listing from an open directory, straight from getdents64(2), which tells each entry's type without a
// stat. buffer is scratch space.
func (l *listing) read(fd int, buffer []byte) error {
	l.names, l.entries = l.names[:0], l.entries[:0]
	for {
		size, err := retry(func() (int, error) { return syscall.ReadDirent(fd, buffer) })
		if err != nil {
			return os.NewSyscallError("getdents64", err)
		}
		if size <= 0 {
			break
		}
		l.parse(buffer[:size])
	}
	slices.SortFunc(l.entries, func(a, b entry) int { return bytes.Compare(l.name(a), l.name(b)) })
	return nil
}

// parse adds records of struct linux_dirent64: inode (8 bytes), offset (8), length of the record (2), type (1), name.
func (l *listing) parse(records []byte) {
	const nameAt = 19
	for len(records) >= nameAt {
		length := int(binary.NativeEndian.Uint16(records[16:]))
		record := records[:length]
		records = records[length:]
		name := record[nameAt:]
		name = name[:bytes.IndexByte(name, 0)]
		if string(name) == "." || string(name) == ".." {
			continue
		}
		l.entries = append(l.entries, entry{len(l.names), uint16(len(name)), kind(record[18])})
		l.names = append(l.names, name...)
	}
}

// openRoot opens the directory that is served, following symlinks.
func openRoot(path string) (*rootDirectory, error) {
	const flags = syscall.O_RDONLY | syscall.O_DIRECTORY | syscall.O_CLOEXEC
	fd, err := retry(func() (int, error) { return syscall.Open(path, flags, 0) })
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	root := &rootDirectory{path: path, fd: fd}
	if err := root.entries.read(fd, make([]byte, direntBuffer)); err != nil {
		root.close()
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return root, nil
}

// rootDirectory is the root, open and read.
type rootDirectory struct {
	path    string
	fd      int
	entries listing
}

func (r *rootDirectory) close() { syscall.Close(r.fd) }

const direntBuffer = 64 << 10

// openBelow opens the directory of that name in an open directory. It follows no symlink, so a directory that has been
// replaced by one cannot lead out of the root.
func openBelow(parent int, name string) (int, error) {
	const flags = syscall.O_RDONLY | syscall.O_DIRECTORY | syscall.O_NOFOLLOW | syscall.O_CLOEXEC
	return retry(func() (int, error) { return syscall.Openat(parent, name, flags, 0) })
}

// kindOf asks for the type of an entry on a file system that does not list it.
func kindOf(parent int, name string) kind {
	fd, err := openPlace(parent, name, syscall.O_NOFOLLOW)
	if err != nil {
		return unknown
	}
	defer syscall.Close(fd)
	var status syscall.Stat_t
	if syscall.Fstat(fd, &status) != nil {
		return unknown
	}
	return kind(status.Mode & syscall.S_IFMT >> 12) // how readdir(3) derives DT_… from S_IF…
}

func openPlace(parent int, name string, flags int) (int, error) {
	return retry(func() (int, error) { return syscall.Openat(parent, name, oPath|syscall.O_CLOEXEC|flags, 0) })
}

// placeOf tells where in the file system an open file or directory is now; "" if that cannot be known.
func placeOf(fd int) string {
	place, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return ""
	}
	return place
}

func isWithin(place, root string) bool {
	return root != "" && (place == root || strings.HasPrefix(place, strings.TrimSuffix(root, "/")+"/"))
}

// retry repeats a system call that a signal interrupted; Go's scheduler sends signals to its own threads.
func retry(call func() (int, error)) (int, error) {
	for {
		value, err := call()
		if err != syscall.EINTR {
			return value, err
		}
	}
}
