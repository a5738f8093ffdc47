package main

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"syscall"
)

const flushAt = 32 << 10 // bytes of JSON that are collected before they are written

// unreadable counts the directories below the root that could not be read.
type unreadable struct {
	count int
	first error
}

// writeTree walks the tree and writes it as JSON while it walks. It keeps in memory only the entries of the directories
// between the root and the place it has reached, since each directory is sorted: memory is bound by the largest
// directories, not by the tree.
//
// A symlink to a directory inside the root is shown with that directory's children. One that leads out of the root, to
// nothing, to a file, or back to a directory it is in, is a leaf. An unreadable directory has no children. The error is
// the writer's, the context's, or a lack of resources that would make entries disappear.
func writeTree(ctx context.Context, out io.Writer, root *rootDirectory) (unreadable, error) {
	w := walker{ctx: ctx, out: out, root: placeOf(root.fd), dirents: make([]byte, direntBuffer)}
	w.buffer = append(w.buffer, `{"name":"`...)
	w.buffer = appendEscaped(w.buffer, []byte(filepath.Base(root.path)))
	w.buffer = append(w.buffer, `","path":"/","is_dir":true`...)
	err := w.children(root.fd, &root.entries)
	if err == nil {
		w.buffer = append(w.buffer, "}\n"...)
		err = w.flush()
	}
	return w.unreadable, err
}

type walker struct {
	ctx        context.Context
	out        io.Writer
	root       string // where the root really is
	buffer     []byte // JSON not yet written
	path       []byte // of the current node, escaped for JSON; empty for the root
	open       []*level
	spare      []*listing
	dirents    []byte
	unreadable unreadable
}

// level is a directory on the way from the root to the current node.
type level struct {
	fd      int
	id      identity
	isKnown bool // id is filled in: only symlinks need it
}

type identity struct{ device, inode uint64 }

// children writes `,"children":[…]` for an open directory, or nothing if it has no entries.
func (w *walker) children(fd int, list *listing) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	w.open = append(w.open, &level{fd: fd})
	path := len(w.path)
	for i, e := range list.entries {
		if i == 0 {
			w.buffer = append(w.buffer, `,"children":[`...)
		} else {
			w.buffer = append(w.buffer, ',')
		}
		if err := w.node(fd, list.name(e), e.kind); err != nil {
			return err
		}
		w.path = w.path[:path]
		if len(w.buffer) >= flushAt {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	if len(list.entries) > 0 {
		w.buffer = append(w.buffer, ']')
	}
	w.open = w.open[:len(w.open)-1]
	return nil
}

// node writes one entry of an open directory and what is below it.
func (w *walker) node(parent int, name []byte, kind kind) error {
	w.path = append(w.path, '/')
	start := len(w.path)
	w.path = appendEscaped(w.path, name)
	w.buffer = append(w.buffer, `{"name":"`...)
	w.buffer = append(w.buffer, w.path[start:]...)
	w.buffer = append(w.buffer, `","path":"`...)
	w.buffer = append(w.buffer, w.path...)
	if kind == unknown {
		kind = kindOf(parent, string(name))
	}
	isDirectory, fd, err := false, -1, error(nil)
	switch kind {
	case directory:
		isDirectory = true
		fd, err = openBelow(parent, string(name))
	case symlink:
		isDirectory, fd, err = w.follow(parent, string(name))
	}
	if !isDirectory {
		w.buffer = append(w.buffer, `","is_dir":false}`...)
		return nil
	}
	w.buffer = append(w.buffer, `","is_dir":true`...)
	if err == nil {
		err = w.below(fd)
	} else {
		err = w.tolerate(err)
	}
	w.buffer = append(w.buffer, '}')
	return err
}

// below writes the children of a directory that has just been opened, and closes it.
func (w *walker) below(fd int) error {
	defer syscall.Close(fd)
	list := &listing{}
	if last := len(w.spare) - 1; last >= 0 {
		list, w.spare = w.spare[last], w.spare[:last]
	}
	defer func() { w.spare = append(w.spare, list) }()
	if err := list.read(fd, w.dirents); err != nil {
		return w.tolerate(err)
	}
	return w.children(fd, list)
}

// tolerate notes a directory that cannot be read, unless the reason lies in this process and not in the directory.
func (w *walker) tolerate(err error) error {
	if isLack(err) {
		return err
	}
	if w.unreadable.count == 0 {
		w.unreadable.first = err
	}
	w.unreadable.count++
	return nil
}

// isLack tells errors for want of open files or memory, which would make entries disappear at random.
func isLack(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
}

// follow opens the directory that a symlink leads to. It is none if the link leads elsewhere, out of the root, or to one
// of the directories on the way from the root to it, where the tree would have no end. What the link leads to is
// opened first, without access to its content, and then judged, so that it cannot be exchanged in between.
func (w *walker) follow(parent int, name string) (isDirectory bool, fd int, err error) {
	place, err := openPlace(parent, name, 0)
	if err != nil {
		return isLack(err), -1, err // a lack breaks the walk off, as for a directory
	}
	defer syscall.Close(place)
	var status syscall.Stat_t
	if err := syscall.Fstat(place, &status); err != nil || status.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		return false, -1, nil
	}
	if !isWithin(placeOf(place), w.root) || w.isOpen(identity{uint64(status.Dev), status.Ino}) {
		return false, -1, nil
	}
	fd, err = openBelow(place, ".")
	return true, fd, err
}

func (w *walker) isOpen(id identity) bool {
	for _, level := range w.open {
		if !level.isKnown {
			var status syscall.Stat_t
			if syscall.Fstat(level.fd, &status) != nil {
				return true // cannot be told: rather a leaf than a tree without end
			}
			level.id, level.isKnown = identity{uint64(status.Dev), status.Ino}, true
		}
		if level.id == id {
			return true
		}
	}
	return false
}

func (w *walker) flush() error {
	_, err := w.out.Write(w.buffer)
	w.buffer = w.buffer[:0]
	return err
}
