package main

import (
	"net"
	"os"
	"syscall"
	"time"
)

// A status is where a program about to become a container's entrypoint says so, once. It is a socket because the
// kernel then tells which process wrote, in the numbers of this PID namespace.
type status struct{ conn *net.UnixConn }

func newStatus() (*status, *os.File, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "status"), os.NewFile(uintptr(fds[1]), "status")
	defer ours.Close()
	if err := syscall.SetsockoptInt(fds[0], syscall.SOL_SOCKET, syscall.SO_PASSCRED, 1); err != nil {
		theirs.Close()
		return nil, nil, err
	}
	conn, err := net.FileConn(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return &status{conn.(*net.UnixConn)}, theirs, nil
}

// read waits for what the program says and tells which process it is. It says nothing if bubblewrap fails before, which
// exited tells: a process that bubblewrap leaves behind then would hold the socket open for ever.
func (s *status) read(exited <-chan struct{}) (string, int) {
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-exited:
			_ = s.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		case <-done:
		}
	}()
	text, rights := make([]byte, 64<<10), make([]byte, 256)
	n, rightsLen, _, _, err := s.conn.ReadMsgUnix(text, rights)
	if err != nil || n == 0 {
		return "", 0
	}
	messages, err := syscall.ParseSocketControlMessage(rights[:rightsLen])
	if err != nil {
		return "", 0
	}
	for _, message := range messages {
		if sender, err := syscall.ParseUnixCredentials(&message); err == nil {
			return string(text[:n]), int(sender.Pid)
		}
	}
	return "", 0
}

func (s *status) close() { s.conn.Close() }
