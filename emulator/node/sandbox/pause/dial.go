package main

import (
	"errors"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"
)

// dial connects inside the pod's network namespace and hands the connected socket itself to the emulator, so no
// byte of the connection passes through here.
func (p *pod) dial(req request) {
	address := net.JoinHostPort(req.Host, strconv.Itoa(req.Port))
	conn, err := net.DialTimeout("tcp", address, 30*time.Second)
	if err != nil {
		p.send(failure(req.ID, err))
		return
	}
	defer conn.Close()
	file, err := conn.(*net.TCPConn).File()
	if err != nil {
		p.send(failure(req.ID, err))
		return
	}
	defer file.Close()
	p.send(reply{ID: req.ID}, file)
}

func failure(id int, err error) reply {
	answer := reply{ID: id, Error: err.Error()}
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		answer.Errno = int(errno)
	case errors.Is(err, os.ErrDeadlineExceeded):
		answer.Errno = int(syscall.ETIMEDOUT)
	}
	return answer
}
