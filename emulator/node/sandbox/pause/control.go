package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// A request is one packet from the emulator. Its descriptors, if any, travel with the packet.
type request struct {
	ID int    `json:"id"`
	Do string `json:"do"` // "dial", "start" or "signal"

	Host string `json:"host"` // dial: an IP address in the pod
	Port int    `json:"port"`

	Argv       []string `json:"argv"`       // start: the program and its arguments
	Namespaced bool     `json:"namespaced"` // start: all its processes end with its first

	Signal int `json:"signal"` // signal: to the container that the start request of this id started
}

// A reply answers the request of its id. A start request is answered twice: when the container has started or
// failed to, and when it has ended.
type reply struct {
	ID    int    `json:"id"`
	Error string `json:"error,omitempty"`
	Errno int    `json:"errno,omitempty"` // of the system call that failed, where one did
	Ended *ended `json:"ended,omitempty"`
}

type ended struct {
	Code   int `json:"code"`   // as a shell says it: 128 + signal for a process ended by a signal
	Signal int `json:"signal"` // 0 for a process that exited
}

type pod struct {
	conn *net.UnixConn

	mu         sync.Mutex
	containers map[int]*container // by the id of their start request
}

func newPod(conn *net.UnixConn) *pod {
	return &pod{conn: conn, containers: map[int]*container{}}
}

// serve says that the pod is ready (id 0) and answers requests until the other end closes.
func (p *pod) serve() error {
	p.send(reply{})
	packet, rights := make([]byte, 64<<10), make([]byte, syscall.CmsgSpace(64*4))
	for {
		n, rightsLen, _, _, err := p.conn.ReadMsgUnix(packet, rights)
		if n == 0 || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			return nil
		}
		if err != nil {
			return err
		}
		files, err := received(rights[:rightsLen])
		if err != nil {
			return err
		}
		var req request
		if err := json.Unmarshal(packet[:n], &req); err != nil {
			return fmt.Errorf("a request is not JSON: %w", err)
		}
		switch req.Do {
		case "dial":
			go p.dial(req)
		case "start":
			go p.start(req, files)
		case "signal":
			p.signal(req)
		default:
			return fmt.Errorf("cannot do %q", req.Do)
		}
	}
}

func received(rights []byte) ([]*os.File, error) {
	messages, err := syscall.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for _, message := range messages {
		fds, err := syscall.ParseUnixRights(&message)
		if err != nil {
			return nil, err
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, nil
}

// send drops the reply when the emulator is gone: serve sees that too and ends.
func (p *pod) send(answer reply, files ...*os.File) {
	packet, err := json.Marshal(answer)
	if err != nil {
		panic(err)
	}
	var rights []byte
	if len(files) > 0 {
		var fds []int
		for _, file := range files {
			fds = append(fds, int(file.Fd()))
		}
		rights = syscall.UnixRights(fds...)
	}
	_, _, _ = p.conn.WriteMsgUnix(packet, rights, nil)
}
